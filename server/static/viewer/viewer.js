import "./viewer-BLGDmlvl.js";
