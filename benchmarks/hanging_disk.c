/* A disk that hangs: preloaded, it lets reads of files whose paths contain $HANG_MARKER wait for as long as the file
   $HANG_SWITCH exists, and opening them for as long as $HANG_SWITCH_OPEN exists: what is cached of a directory can be
   opened on a local disk that hangs, but not on a file server. What waits can be killed. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define REAL(result, name, ...) \
    static result (*real)(__VA_ARGS__); \
    if (!real) real = (result (*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

static void wait_for_disk(const char *path, const char *variable) {
    const char *marker = getenv("HANG_MARKER"), *hangs = getenv(variable);
    struct timespec pause = {0, 20000000};
    if (!marker || !hangs || !path || !strstr(path, marker)) return;
    while (faccessat(AT_FDCWD, hangs, F_OK, 0) == 0) nanosleep(&pause, NULL);
}

static void wait_for_descriptor(int fd, const char *variable) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0 || path[0] != '/') return;
    path[length] = 0;
    wait_for_disk(path, variable);
}

static int opened(int fd) { /* a name such as /proc/self/fd/7 leads to the file, too */
    if (fd >= 0) wait_for_descriptor(fd, "HANG_SWITCH_OPEN");
    return fd;
}

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        REAL(int, name, const char *, int, ...); \
        va_list rest; va_start(rest, flags); mode_t mode = va_arg(rest, mode_t); va_end(rest); \
        return opened(real(path, flags, mode)); \
    }
#define OPENAT(name) \
    int name(int folder, const char *path, int flags, ...) { \
        REAL(int, name, int, const char *, int, ...); \
        va_list rest; va_start(rest, flags); mode_t mode = va_arg(rest, mode_t); va_end(rest); \
        return opened(real(folder, path, flags, mode)); \
    }
#define FOPEN(name) \
    FILE *name(const char *path, const char *mode) { \
        REAL(FILE *, name, const char *, const char *); \
        FILE *file = real(path, mode); \
        if (file) wait_for_descriptor(fileno(file), "HANG_SWITCH_OPEN"); \
        return file; \
    }
#define PREAD(name, offset_type) \
    ssize_t name(int fd, void *buffer, size_t size, offset_type offset) { \
        REAL(ssize_t, name, int, void *, size_t, offset_type); \
        wait_for_descriptor(fd, "HANG_SWITCH"); \
        return real(fd, buffer, size, offset); \
    }
#define PREADV(name, offset_type) \
    ssize_t name(int fd, const struct iovec *blocks, int count, offset_type offset) { \
        REAL(ssize_t, name, int, const struct iovec *, int, offset_type); \
        wait_for_descriptor(fd, "HANG_SWITCH"); \
        return real(fd, blocks, count, offset); \
    }

OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)
FOPEN(fopen)
FOPEN(fopen64)
PREAD(pread, off_t)
PREAD(pread64, off64_t)
PREADV(preadv, off_t)
PREADV(preadv64, off64_t)

ssize_t read(int fd, void *buffer, size_t size) {
    REAL(ssize_t, read, int, void *, size_t);
    wait_for_descriptor(fd, "HANG_SWITCH");
    return real(fd, buffer, size);
}

size_t fread(void *buffer, size_t size, size_t count, FILE *file) {
    REAL(size_t, fread, void *, size_t, size_t, FILE *);
    wait_for_descriptor(fileno(file), "HANG_SWITCH");
    return real(buffer, size, count, file);
}
