/* What the demo prints: report lines, numbers for people, a progress bar, and failures. */
#define _XOPEN_SOURCE 700

#include "report.h"

#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const double REDRAW_SECONDS = 0.1;
static const double LINE_SECONDS = 5.0;
enum { BAR_WIDTH = 20, LINE_WIDTH = 78 };

static volatile sig_atomic_t interrupted;
static int failed;

double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

struct text count_text(uint64_t count)
{
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%" PRIu64, count);
    struct text text;
    char *to = text.s;
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0) {
            *to++ = ',';
        }
        *to++ = digits[i];
    }
    *to = '\0';
    return text;
}

struct text bytes_text(uint64_t bytes)
{
    static const char *const units[] = {"KB", "MB", "GB", "TB"};
    struct text text;
    if (bytes < 1000) {
        snprintf(text.s, sizeof text.s, "%" PRIu64 " B", bytes);
        return text;
    }
    double amount = (double)bytes / 1000;
    size_t unit = 0;
    while (amount >= 999.95 && unit + 1 < sizeof units / sizeof units[0]) {
        amount /= 1000;
        unit++;
    }
    snprintf(text.s, sizeof text.s, "%.1f %s", amount, units[unit]);
    return text;
}

struct text seconds_text(double seconds)
{
    struct text text;
    if (seconds < 1) {
        snprintf(text.s, sizeof text.s, "%.*f ms", seconds < 0.01 ? 1 : 0, seconds * 1000);
    } else {
        snprintf(text.s, sizeof text.s, "%.2f s", seconds);
    }
    return text;
}

/* Nothing takes less than the clock can see. */
static uint64_t per_second(uint64_t amount, double seconds)
{
    return (uint64_t)((double)amount / (seconds > 1e-6 ? seconds : 1e-6));
}

struct text rate_text(uint64_t count, double seconds)
{
    struct text text = count_text(per_second(count, seconds));
    strcat(text.s, "/s");
    return text;
}

struct text speed_text(uint64_t bytes, double seconds)
{
    struct text text = bytes_text(per_second(bytes, seconds));
    strcat(text.s, "/s");
    return text;
}

void say(const char *label, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    printf("%-11s", label);
    vprintf(format, arguments);
    putchar('\n');
    fflush(stdout);
    va_end(arguments);
}

void fail(const char *format, ...)
{
    va_list arguments;
    failed = 1;
    fflush(stdout);
    va_start(arguments, format);
    fputs("demo: FAILED: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(EXIT_FAILURE);
}

int report_failed(void)
{
    return failed;
}

void must_be(kv_status wanted, kv_status status, const char *what, const char *name)
{
    if (status == wanted) {
        return;
    }
    if (status < 0) {
        fail("%s(%s): %s: %s", what, name, kv_strerror(status), kv_error_message());
    }
    fail("%s(%s) returned \"%s\" instead of \"%s\"", what, name, kv_strerror(status),
         kv_strerror(wanted));
}

static void note_interrupt(int signal_number)
{
    (void)signal_number;
    interrupted = 1;
}

void note_interrupts(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = note_interrupt;
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

void stop_if_interrupted(void)
{
    if (interrupted) {
        fputs("\ndemo: interrupted\n", stderr);
        exit(130);
    }
}

static void clear_bar(const struct progress *progress)
{
    if (progress->on_terminal) {
        fprintf(stderr, "\r%*s\r", LINE_WIDTH, "");
    }
}

void progress_start(struct progress *progress, const char *label, uint64_t total_count,
                    uint64_t total_bytes)
{
    const char *terminal = getenv("TERM");
    memset(progress, 0, sizeof *progress);
    progress->label = label;
    progress->total_count = total_count;
    progress->total_bytes = total_bytes;
    progress->started = seconds_now();
    progress->shown = progress->started;
    progress->on_terminal =
        isatty(STDERR_FILENO) && terminal != NULL && strcmp(terminal, "dumb") != 0;
}

/* How much is done, 0 to 1: by bytes where they are known, since files differ in size. */
static double share_done(const struct progress *progress)
{
    double share = 1;
    if (progress->total_bytes > 0) {
        share = (double)progress->bytes / (double)progress->total_bytes;
    } else if (progress->total_count > 0) {
        share = (double)progress->count / (double)progress->total_count;
    }
    return share > 1 ? 1 : share;
}

static void draw(struct progress *progress, double now)
{
    double seconds = now - progress->started;
    double share = share_done(progress);
    unsigned left = share > 0 ? (unsigned)(seconds / share * (1 - share) + 0.5) : 0;
    unsigned filled = (unsigned)(share * BAR_WIDTH);
    char bar[BAR_WIDTH + 1];
    char line[256];

    memset(bar, '.', BAR_WIDTH);
    memset(bar, '#', filled);
    bar[BAR_WIDTH] = '\0';
    snprintf(line, sizeof line, "%-10s [%s] %3.0f%% %s, %s, %s, ETA %u:%02u", progress->label,
             bar, share * 100, count_text(progress->count).s, bytes_text(progress->bytes).s,
             speed_text(progress->bytes, seconds).s, left / 60, left % 60);
    if (progress->on_terminal) {
        fprintf(stderr, "\r%-*.*s", LINE_WIDTH, LINE_WIDTH, line);
        fflush(stderr);
    } else {
        fprintf(stderr, "%s\n", line);
    }
    progress->shown = now;
}

void progress_add(struct progress *progress, uint64_t bytes)
{
    double now = seconds_now();
    progress->count++;
    progress->bytes += bytes;
    stop_if_interrupted();
    if (now - progress->shown >= (progress->on_terminal ? REDRAW_SECONDS : LINE_SECONDS)) {
        draw(progress, now);
    }
}

void progress_end(struct progress *progress)
{
    clear_bar(progress);
    fflush(stderr);
}
