/* What the demo prints: report lines, numbers for people, a progress bar, and failures. */
#ifndef DEMO_REPORT_H
#define DEMO_REPORT_H

#include <stddef.h>
#include <stdint.h>

#include <kv.h>

/* A number as text; it lives as long as the expression that made it. */
struct text {
    char s[32];
};

struct text count_text(uint64_t count);                 /* 12,345 */
struct text bytes_text(uint64_t bytes);                 /* 1.2 MB */
struct text seconds_text(double seconds);               /* 1.23 s */
struct text rate_text(uint64_t count, double seconds);  /* 12,345/s */
struct text speed_text(uint64_t bytes, double seconds); /* 1.2 MB/s */

/* Seconds on a clock that only goes forward. */
double seconds_now(void);

/* Prints one line of the report: a label, and what happened. */
void say(const char *label, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Ends the demo with a message and exit code 1; the database is left for a look. */
_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Ends the demo unless `status` is `wanted`. `what` and `name` say what was tried on what. */
void must_be(kv_status wanted, kv_status status, const char *what, const char *name);

/* Progress of one phase, on standard error: a bar on a terminal, else a line now and then. */
struct progress {
    const char *label;
    uint64_t total_count;
    uint64_t total_bytes;
    uint64_t count;
    uint64_t bytes;
    double started;
    double shown;
    int on_terminal;
};

void progress_start(struct progress *progress, const char *label, uint64_t total_count,
                    uint64_t total_bytes);
void progress_add(struct progress *progress, uint64_t bytes);
void progress_end(struct progress *progress);

/* From now on, Ctrl-C is only noted; stop_if_interrupted(), which progress_add() calls, ends the
 * demo by exit(130), so that atexit() handlers can clean up. */
void note_interrupts(void);
void stop_if_interrupted(void);

/* Nonzero once fail() was called: what is on disk is evidence and should stay. */
int report_failed(void);

#endif
