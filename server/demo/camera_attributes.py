"""The attributes of the cameras: names and types like the real ones, with invented values.

Names and types follow the programs that write the files: the older ones store the camera's registers as uint32, the
newer ones as int32; flags are the text "True" or "False"; calibrations are Windows paths. The values are invented,
except for the sizes of frames and chips and a few nominal settings; those that drift in a laboratory (temperatures,
voltages, the vacuum) are drawn anew for each file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from shotdap.server.demo.physics.film_scan import COUNTS_PER_OD

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from shotdap.server.demo.image_content import Attributes
    from shotdap.server.demo.physics.film_scan import Wedge
    from shotdap.server.demo.physics.grid import Grid
    from shotdap.server.demo.physics.plate import Scanner


def _make_numbers(kind: type[np.number[Any]], **values: float | Sequence[float]) -> Attributes:
    return {name: np.asarray(value, kind)[()] for name, value in values.items()}


def _fill_numbers(kind: type[np.integer[Any]], value: int, names: str) -> Attributes:
    return dict.fromkeys(names.split(), kind(value))


def _make_flags(*, true: str, false: str) -> Attributes:
    return dict.fromkeys(true.split(), "True") | dict.fromkeys(false.split(), "False")


def _draw_readings(rng: np.random.Generator, spread: float, **values: float | Sequence[float]) -> Attributes:
    """Draw float32 readings around their nominal values, rounded to a tenth like those of the meters."""
    drawn = {name: rng.normal(value, spread) for name, value in values.items()}
    return {name: np.round(np.asarray(value), 1).astype(np.float32)[()] for name, value in drawn.items()}


# The registers of the Spectral Instruments CCD, as the older programs (uint32) name them.
_OLD_CCD: Final[Attributes] = {
    **_fill_numbers(
        np.uint32,
        0,
        "CCD_SerialRegisterSplit CCD_MPPModeDisable CCD_BlankLines CCD_ReadoutPort CCD_SkipLines CCD_ADCSamples "
        "CCD_NumberOfPorts CCD_ShiftLines CCD_PixelClear_ns CCD_ParallelRegisterPhasing CCD_ParallelRegisterSplit",
    ),
    **_make_numbers(
        np.uint32,
        CCD_ParallelShiftDelay=245,
        CCD_DSISampleTime=120,
        CCD_ShutterCloseDelay=25,
        CCD_AnalogAttenuation=1,
        CCD_SerialRegisterPhasing=1,
        CCD_DSPVersion=(2700, 4, 7001),
    ),
    **_make_numbers(np.float32, CCD_CCDSetPointTemp=-30),
    "CCD_CoolerStatus": "On",
}

# The same registers as the newer programs (int32) name them.
_NEW_CCD: Final[Attributes] = {
    **_fill_numbers(
        np.int32,
        0,
        "CCD_ADCSamples CCD_SkipLines CCD_BlankLines CCD_ShiftLines CCD_HighPressureLimit CCD_MPPModeDisable "
        "CCD_DriverVersion CCD_PortSelect CCD_HardwareRevision CCD_SerialSplit CCD_ParallelPhasing CCD_ParallelSplit "
        "CCD_NumberOfPorts",
    ),
    **_make_numbers(
        np.int32,
        CCD_AnalogAttenuation=1,
        CCD_OperationalPressure=3900,
        CCD_DSISampleTime=160,
        CCD_PixelClear=900,
        CCD_SerialPhasing=1,
        CCD_ParallelShiftDelay=245,
        CCD_ShutterCloseDelay=25,
    ),
    **_make_numbers(np.uint32, CCD_DSPVersion=(2700, 5, 7201)),
    **_make_numbers(np.float32, CCD_CCDTemperatureSetpoint=-30, CCD_CCDTemperatureSetpointOffset=7),
    **_make_flags(true="", false="CCD_FastAcquire CCD_Reinitialize"),
    "CCD_CoolerStatus": "On",
}

# The registers that both generations name alike.
_CCD: Final[Attributes] = {
    **_make_numbers(np.int32, CCD_PostScan=(0, 0), CCD_CCDSize=(2098, 2048), CCD_Origin=(0, 0)),
    **_make_flags(true="CCD_CoolerOn CCD_Triggered", false="CCD_AutoPostScan"),
    "CCD_ContinuousClear": "Enabled",
    "CCD_Model": "800",
}

# The streak tube's power supplies and interlocks.
_TUBE: Final[Attributes] = {
    **_make_flags(
        true="CCDPowerOn FanOn HTSTriggerEnable OpticalModuleInterlockOpen HVOn BiasOn SweepOn ClosedLoop "
        "SweepTriggerEnable SweepTriggered",
        false="CCDShutterOpen Shutter1Open Shutter2Open Shutter3Open HVInterlockOpen WriteEnable",
    ),
    **_make_numbers(np.int32, CCDTriggerDelayTime=9850, Shutter1Exposure=150, Shutter2Exposure=1, Shutter3Exposure=150),
    "Mode": "Operate",
}

# The additions of the ROSS: ramps, and the scale and zero of every converter.
_ROSS: Final[Attributes] = {
    **_make_numbers(
        np.float32,
        HTSTriggerInterval=9950,
        HTSRetriggerHoldoffTime=200,
        BiasSyncVoltageSetpoint=(210, -210),
        BiasOperateVoltageSetpoint=(710, -710),
        SweepVoltageSetpoint=(2800, -2800),
        CathodeVoltageSetpoint=-13000,
        SlowRampTime=9000,
        SlowRampStartVoltage=(450, -450),
        SlowRampEndVoltage=(-450, 450),
        SlowRampGateVoltage=(400, -400),
    ),
    **_make_numbers(
        np.int32,
        ADCSpans=(24000, 24010, 23990, 24700, 24690, 30400, 30390),
        ADCZeroes=(-12, 3, 0, 7, 5, -2, 0),
        DACSpans=(16200, 8000, 19900, 20300, 31500, 30600),
        DACZeroes=(-600, 10, 20, 90, 40, 0),
    ),
    **_make_flags(true="", false="SweepTriggerExt"),
}

# Its optical calibration module: motors, the comb generator, the calibration files.
_OCM: Final[Attributes] = {
    **_fill_numbers(np.uint32, 0, "OCM_SerialNum OCM_FiberSwitchSerialNum OCM_CombDigitalDelay"),
    **_make_numbers(
        np.int32,
        OCM_M1_Z=400,
        OCM_M2_T=450,
        OCM_M3_X=900,
        OCM_M4_Y=600,
        OCM_M5_A=1000,
        OCM_M6_Flipin=60,
        OCM_M7_Tilt1=600,
        OCM_M8_Tilt2=570,
        OCM_M9_Tilt3=500,
        OCM_M10_SlitW=40,
        OCM_M11_SlitF=330,
        OCM_M12_Iris=0,
        OCM_MotorVelocity=(400,) * 11 + (50,),
    ),
    **_make_numbers(
        np.uint8,
        OCM_IlluminatorBrightness=(0,) * 4,
        OCM_MotorStepSize=(2,) * 12,
        OCM_MotorStatus=(0,) * 12,
        OCM_LimitSwitch=(0,) * 12,
        OCM_CombAnalogDelay=0,
    ),
    **_make_numbers(np.float32, OCM_IlluminatorFrequency=5, OCM_IlluminatorDutyCycle=10, OCM_CombFrequency=2),
    **_make_numbers(np.uint16, OCM_FiberSwitchSetting=0),
    **_make_flags(true="OCM_CombTriggerExternal", false="OCM_IlluminatorOn"),
    "OCM_FirmwareVersion": "1.3",
    "OCM_MotorFirmwareVersion": "V1.6",
    "OCM_Reticle": "8000UV",
    "FFFile": r"Y:\synthetic\calibration\flatfield\flat 2x2 1100x1100.hdf",
    "GCFile": r"Y:\synthetic\calibration\geometric\geometry.cal",
    **{f"TCFile{speed}": rf"Y:\synthetic\calibration\timebase\r{speed} timebase.cal" for speed in (1, 2, 3, 4)},
}

# The electron optics that only the older ROSS reports.
_OLD_TUBE: Final[Attributes] = {
    **_make_numbers(
        np.float32,
        B2VoltageSetpoint=-4500,
        F1VoltageSetpoint=-100,
        F2VoltageSetpoint=-4500,
        QuadrupoleLensVoltageSetpoint=(-440, 440),
        B1VoltageSetpoint=(-5, -5),
    ),
    **_make_numbers(np.int32, CCD_Port1Offset=280, CCD_Port2Offset=265),
    "TubeMode": "Normal",
    "CCD_AmplifierMode": "HighDR",
}


def _describe_ross(rng: np.random.Generator, when: datetime, speed: int) -> Attributes:
    camera, generator, tube = (int(serial) for serial in rng.integers(100, 900, 3))
    return {
        "TimeStamp": f"{when:%Y-%b-%d %H:%M:%S}.{when.microsecond // 100_000}",  # 2011-May-19 10:41:07.3
        **_CCD,
        **_make_numbers(np.int32, CCD_Binning=(2, 2), CCD_ImageSize=(1100, 1100), SweepSpeed=speed),
        **_make_numbers(np.int16, CCD_SpeedIndex=1),
        **_make_numbers(np.float32, CCD_Exposure=5),
        **_TUBE,
        **_ROSS,
        **_OCM,
        "CCD_SerialNum": str(camera),
        **_make_numbers(np.uint32, GEP_SerialNum=generator, StreakTube_SerialNum=tube),
        **_draw_readings(rng, 0.3, CCD_BackPlateTemperature=27, Temperatures=(-99,) * 5 + (31,)),
        **_draw_readings(rng, 0.1, CCD_CCDTemperature=-30, CCD_Pressure=1.5),
        **_draw_readings(rng, 9, BiasVoltages=(700, -715), SweepVoltages=(2805, -2840), CathodeVoltage=-13000),
    }


def describe_asbo(rng: np.random.Generator, when: datetime, speed: int) -> Attributes:
    """Describe an ASBO's streak, as the older ROSS program does."""
    optics = _draw_readings(
        rng, 3, B2Voltage=-4500, F1Voltage=-100, F2Voltage=-4500, QuadrupoleLensVoltages=(-440, 440)
    )
    offset = _make_numbers(np.float32, CCD_CCDSetPointOffset=7.5)
    return {
        **_describe_ross(rng, when, speed),
        **_OLD_CCD,
        **_OLD_TUBE,
        **optics,
        **_draw_readings(rng, 0.1, B1Voltages=(-5, -5)),
        **offset,
    }


def describe_sop(rng: np.random.Generator, when: datetime, speed: int) -> Attributes:
    """Describe an SOP's streak, as the newer ROSS program does."""
    focus = _draw_readings(rng, 9, FocusVoltage=-14500, SlotVoltage=-12500)
    offsets = _make_numbers(np.int32, CCD_Port1Offset=320, CCD_Port2Offset=300)
    return {
        **_describe_ross(rng, when, speed),
        **_NEW_CCD,
        **focus,
        **_make_numbers(np.float32, FocusVoltageSetpoint=-14500),
        **offsets,
    }


def describe_ross_file(unit: str, location: str) -> Attributes:
    """Describe the file of a ROSS."""
    return {
        "Unit": unit,
        "Location": location,
        "Program_Version": "RossApp 0.0.0",
        **_fill_numbers(np.uint16, 0, "DiagnosticSerialNumber TIM"),
        **DISPLAY_ATTRIBUTES,
    }


DISPLAY_ATTRIBUTES: Final[Attributes] = {"ImageDisplay": "RotateNoneFlipNone"}


def describe_p510(rng: np.random.Generator) -> Attributes:
    """Describe a P510's streak: binned 4 × 4, without a time stamp."""
    return {
        **_CCD,
        **_OLD_CCD,
        **_TUBE,
        **_make_numbers(np.int32, CCD_Binning=(4, 4), CCD_ImageSize=(548, 512), SweepSpeed=3),  # the size is (x, y)
        **_make_numbers(np.int32, CCD_Port1Offset=330, CCD_Port2Offset=210, HTSTriggerInterval=9950),
        **_make_numbers(
            np.int32, HTSRetriggerHoldoffTime=200, CathodeVoltageSetpoint=-15000, FocusVoltageSetpoint=-14500
        ),
        **_make_numbers(np.int32, CathodeVoltage=-15003, FocusVoltage=-14502, SlotVoltage=-13400, OCM_Position=450),
        **_make_numbers(np.int16, CCD_SpeedIndex=-1),
        **_make_numbers(np.uint32, SerialNum=12, TubeNum=3, FlatFieldTime=4000),
        **_make_numbers(
            np.float32, CCD_Exposure=2, CCD_CCDTempSetPointOffset=7, FlatFieldVoltages=(4000, -4000, -4000, 4000)
        ),
        **_make_numbers(np.float32, BiasOperateVoltageSetpoint=(650, -650), BiasSyncVoltageSetpoint=(250, -250)),
        **_make_numbers(np.float32, SweepVoltageSetpoint=(1500, -1500)),
        **_draw_readings(rng, 0.1, CCD_CCDTemperature=-30, CCD_Pressure=2),
        **_draw_readings(rng, 0.3, CCD_BackPlateTemperature=30, Temperatures=(-270,) * 5 + (28,)),
        **_draw_readings(rng, 9, BiasVoltages=(780, -700), SweepVoltages=(1700, -1690)),
        **_make_flags(true="CCD_PowerOn OCMAvail", false=""),
        "CCD_AmplifierMode": "HighSens",
        "CCD_CoolerStatus": "LOCKED",
        "CCD_SerialNum": str(rng.integers(100, 900)),
        "FWVersion": "4.00",
        "OCMType": "BB",
    }


def describe_p510_file(cluster: int) -> Attributes:
    """Describe the file of a P510: one of the six clusters of ten beams."""
    program = "Streak.NET ver 1.0.0.0 rev 0"
    return {
        "Unit": f"P510_{cluster}",
        "Location": f"Cluster {cluster}",
        "Program_Version": program,
        **DISPLAY_ATTRIBUTES,
    }


def describe_epw(rng: np.random.Generator) -> Attributes:
    """Describe an EPW spectrometer's gated camera: no time stamp, and no sensor on its back plate."""
    return {
        **_make_numbers(
            np.float64,
            CentralWavelength=540,
            CCD_TriggerThreshold=1.4,
            CCD_InternalFrequency=5,
            CCD_GatePulseDelay=round(rng.uniform(200, 300), 1),
            CCD_GatePulseWidth=1.5,
        ),
        **_make_numbers(np.uint16, CCD_IntensifierGain=12, CCD_ShutterCloseDelay=0),
        **_make_numbers(np.int32, CCD_StripsPerClear=1, CCD_AcquireTimeout=-1, CCD_ClearCycles=100, CCD_Origin=(0, 0)),
        **_make_numbers(np.int32, CCD_CCDSize=(1024, 1024), CCD_ImageSize=(1024, 1024), CCD_Binning=(1, 1)),
        **_make_numbers(
            np.float32, CCD_PixelSpacing=(13, 13), CCD_PixelSize=(13, 13), CCD_Exposure=0, CCD_ADCSpeed=0.5
        ),
        **_make_numbers(np.float32, CCD_ADCSpeeds=(5, 1, 0.5), CCD_CCDTemperatureSetpoint=-15, CCD_CCDTemperature=-15),
        **_make_numbers(np.float32, CCD_BackPlateTemperature=np.nan),
        **_make_flags(
            true="CCD_IntensiferEnabled CCD_ClearUntilTrigger",  # the real files misspell it too
            false="CCD_OutputInverted CCD_SyncMasterEnabled CCD_NormalizeOrientation",
        ),
        "CCD_TriggerSource": "External",
        "CCD_Coupling": "DC",
        "CCD_Termination": "FiftyOhm",
        "CCD_IntensifierMode": "Repetitive",
        "CCD_IntensiferStatus": "Powered On",
        "CCD_OutputSignal": "ReadingOut",
        "CCD_TriggerResponse": "ReadoutPerTrigger",
        "CCD_TriggerType": "Rising",
        "CCD_DataOrientation": "Normal",
        "CCD_ReadoutOrientation": "Normal",
        "CCD_AnalogGain": "High",
        "CCD_CoolerStatus": "Locked",
        "CCD_SerialNum": f"{rng.integers(10**7):08d}",
        "CCD_Model": "PI-MAX4: 1024f",
    }


def describe_ptd_file(rng: np.random.Generator) -> Attributes:
    """Describe the file of a PTD: everything is text, units included, and one name is misspelt."""
    return {
        "Array_Size": "512 X 341",
        "Binnin": "3 X 3",
        "Chip_Size": "1536 X 1023",
        "Data_Type": "Integer",
        "Fiducial_Delay_Box": "PTD-1",
        "Filter": "100",
        "Gain": "2",
        "ID": "SYNTHETIC-01",
        "NTD_Target_to_Scintillator_Distance": "9 cm",
        "Neutron_Type": "XR",
        "Pulse_Shape_ID": "SYN1000",
        "RID_Number": str(rng.integers(10_000, 99_999)),
        "Streak_Camera_Trigger": f"{rng.uniform(5_000_000, 5_000_100):.1f} ns",
        "Sweep_Card": "5",
        "Target_ID": "SYNTHETIC-1A-01",
    }


def describe_film() -> Attributes:
    """Describe the scan of a film: how dense a count is."""
    return _make_numbers(np.float64, OD_per_count=1 / COUNTS_PER_OD)


def describe_wedge(wedge: Wedge) -> Attributes:
    """Describe the scan of a step wedge: how many steps it has, and by how much each is denser than the one before."""
    steps = _make_numbers(np.int32, wedge_steps=wedge.step_count)
    return {**describe_film(), **steps, **_make_numbers(np.float64, wedge_step_OD=wedge.step_density)}


def describe_film_file() -> Attributes:
    """Describe the file of a scanned film."""
    return {"scanner": "PDS microdensitometer", "counts": "optical density, 800 counts to 1"}


def describe_grid(grid: Grid) -> Attributes:
    """Describe the picture of a grid: where its dots are, in pixels of an undistorted picture."""
    return _make_numbers(np.float32, first_dot_px=(grid.first_dot, grid.first_dot), pitch_px=(grid.pitch, grid.pitch))


def describe_plate(scanner: Scanner) -> Attributes:
    """Describe the raw scan of an image plate: the parameters of the formula that gives its PSL."""
    real = _make_numbers(
        np.float32, resolution=scanner.resolution, sensitivity=scanner.sensitivity, latitude=scanner.latitude
    )
    return {**real, **_make_numbers(np.int32, bits=scanner.bits)}


def describe_plate_file(number: int, delay: float, pixel: tuple[float, float], latitude: float) -> Attributes:
    """Describe the file of an image plate: the size of its pixels (um, by row and by column), and the delay (s)."""
    return {
        **_make_numbers(
            np.float32, pixelSizeX=pixel[1], pixelSizeY=pixel[0], scanDelaySeconds=delay, latitude=latitude
        ),
        **_make_numbers(np.int32, shotNum=number),
        "instrument": "PCIS",
    }


def describe_summary_file(number: int, when: datetime) -> Attributes:
    """Describe the file of a P510 summary."""
    return {
        **_make_numbers(np.int16, ACTIVE_CLUSTERS=(1, 2, 3, 4, 5, 6)),
        **_make_numbers(np.int32, LOG_NUM=number, NUMBER_BEAMS=60),
        "SHOT_TIME": f"{when:%Y/%m/%d %H:%M:%S}.000",
        "PROCESS": "Made by shotdap.catalog.synthetic; no beam was measured",
        "SUMMARY": "The UV power on target in TW is SUMMARY_DATA_UV, against SUMMARY_DATA_TIME in ps.",
        "NOISY": "Noise reduction turned off",
        "T0_CALC": "Average of all beams",
        "T0_DEFINITION": "Zero is where the average of all beams rises to half its peak.",
        "USER": "syn",
    }


def describe_summary_beams(rng: np.random.Generator, beams: Sequence[int]) -> Attributes:
    """Describe the power of many beams: their numbers and when each begins (ps)."""
    return {
        **_make_numbers(np.int16, BEAMS=beams),
        **_make_numbers(np.float32, BEAM_T0=rng.normal(0, 12, len(beams)).tolist()),
    }


def describe_summary_cluster(rng: np.random.Generator, cluster: int, beams: Sequence[int]) -> Attributes:
    """Describe the streak of one cluster, with the free text that warns of its voltages."""
    energy = rng.normal(300, 5, len(beams))
    return {
        **_make_numbers(
            np.int16, CLUSTER_NUM=cluster, BEAMS=beams, SWEEP_SPEED=0, FILTER_2X=0, FILTER_5X=0, TRIGGERED=0
        ),
        **_make_numbers(np.int32, BAD_PIX=int(rng.integers(50, 400)), LOG_NUMBER=0, CCD_SERIAL_NUM=0),
        **_make_numbers(np.float32, TIME_PIX=14.1, TIME_START=56_000, CCD_EXPOSURE=2, CCD_TEMP=0),
        **_make_numbers(np.float32, OFFSET=rng.normal(-200, 30, len(beams)).tolist(), CCD_TW=[5e-5] * len(beams)),
        **_make_numbers(
            np.float64, ENERGY=energy.tolist(), TARGET_UV=(0.88 * energy).tolist(), IR=(0.22 * energy).tolist()
        ),
        "CAL_FILE": f"/archive/22/01/01/HDF.20220101.12000{cluster}.1",
        "PULSESHAPE": "SYN1000",
        "SSD_MODE": "SSD",
        "WARNING": "BIAS_PLUS out of spec BIAS_MINUS out of spec CCD_TEMP out of spec ",
    }
