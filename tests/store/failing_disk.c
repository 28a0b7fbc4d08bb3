/* Let the nth call that changes the disk under a folder fail, as a full, broken or read-only disk does.

   Loaded with LD_PRELOAD, so it reaches every library (SQLite, Arrow) and not Python alone. A test arms it
   with fail_at and reads the number of calls with calls_seen. From the nth call on all fail until it is
   disarmed (nth 0); on a full disk the first one still writes half of its bytes. Not for threads. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static char folder[PATH_MAX];
static long first_failing, seen;
static int error_number;

void fail_at(const char *under, long nth, int error) {
    strncpy(folder, under, sizeof folder - 1);
    first_failing = nth;
    error_number = error;
    seen = 0;
}

long calls_seen(void) { return seen; }

static int under_folder(const char *path) { return folder[0] && strncmp(path, folder, strlen(folder)) == 0; }

static int counts_fd(int fd) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = folder[0] ? readlink(link, path, sizeof path - 1) : -1;
    if (n < 0) return 0;
    path[n] = 0;
    return under_folder(path);
}

/* 0: goes through; 1: fails; 2: the first to fail */
static int verdict(void) {
    seen++;
    if (first_failing == 0 || seen < first_failing) return 0;
    return seen == first_failing ? 2 : 1;
}

static int refuse(void) { errno = error_number; return -1; }

#define REAL(name) __typeof__(name) *real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

#define OPEN(name)                                                                          \
    int name(const char *path, int flags, ...) {                                            \
        REAL(name);                                                                         \
        va_list rest;                                                                       \
        va_start(rest, flags);                                                              \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;             \
        va_end(rest);                                                                       \
        int writes = (flags & O_ACCMODE) != O_RDONLY;                                       \
        if (writes && under_folder(path) && verdict()) return refuse();                     \
        return real(path, flags, mode);                                                     \
    }
OPEN(open)
OPEN(open64)

#define WRITE(name, ...)                                                                    \
    REAL(name);                                                                             \
    if (counts_fd(fd)) {                                                                    \
        int how = verdict();                                                                \
        if (how == 2 && error_number == ENOSPC && n > 1) { n /= 2; return real(__VA_ARGS__); } \
        if (how) return refuse();                                                           \
    }                                                                                       \
    return real(__VA_ARGS__);

ssize_t write(int fd, const void *data, size_t n) { WRITE(write, fd, data, n) }
ssize_t pwrite(int fd, const void *data, size_t n, off_t at) { WRITE(pwrite, fd, data, n, at) }
ssize_t pwrite64(int fd, const void *data, size_t n, off64_t at) { WRITE(pwrite64, fd, data, n, at) }

#define ON_FD(name, args, ...)                                                              \
    int name args {                                                                         \
        REAL(name);                                                                         \
        if (counts_fd(fd) && verdict()) return refuse();                                    \
        return real(__VA_ARGS__);                                                           \
    }
ON_FD(fsync, (int fd), fd)
ON_FD(fdatasync, (int fd), fd)
ON_FD(ftruncate, (int fd, off_t n), fd, n)
ON_FD(ftruncate64, (int fd, off64_t n), fd, n)

#define ON_PATH(name, args, ...)                                                            \
    int name args {                                                                         \
        REAL(name);                                                                         \
        if (under_folder(path) && verdict()) return refuse();                               \
        return real(__VA_ARGS__);                                                           \
    }
ON_PATH(rename, (const char *path, const char *to), path, to)
ON_PATH(mkdir, (const char *path, mode_t mode), path, mode)

/* a full disk lets go of files, a read-only one does not */
int unlink(const char *path) {
    REAL(unlink);
    if (error_number != ENOSPC && under_folder(path) && verdict()) return refuse();
    return real(path);
}

/* The wall clock, as far off as a test wants it. */
static long jump;

void jump_clock(long seconds) { jump = seconds; }

int clock_gettime(clockid_t clock, struct timespec *now) {
    REAL(clock_gettime);
    int failed = real(clock, now);
    if (!failed && clock == CLOCK_REALTIME) now->tv_sec += jump;
    return failed;
}

int gettimeofday(struct timeval *now, void *zone) {
    REAL(gettimeofday);
    int failed = real(now, zone);
    if (!failed) now->tv_sec += jump;
    return failed;
}
