/* Calls of kv.h that look after databases, as Go likes them: see calls.h. */
#ifndef KV_GO_KEEP_H
#define KV_GO_KEEP_H

#include "calls.h"

/* The functions of Go that are called back: progress ends the call if it does not answer 0. */
int32_t kvGoProgress(struct kv_progress_t *progress, uintptr_t handle);
void kvGoLog(int32_t level, char *message, uintptr_t handle);
void kvGoEvent(struct kv_event_t *event, uintptr_t handle);

static inline int32_t go_progress(const kv_progress_t *progress, void *handle) {
    return kvGoProgress((struct kv_progress_t *)progress, (uintptr_t)handle);
}

static inline void go_log(int32_t level, const char *message, void *handle) {
    kvGoLog(level, (char *)message, (uintptr_t)handle);
}

static inline void go_event(const kv_event_t *event, void *handle) {
    kvGoEvent((struct kv_event_t *)event, (uintptr_t)handle);
}

static inline go_answer go_options_set_log(uintptr_t options, uintptr_t handle, int32_t level) {
    return go_status(
        kv_options_set_log((kv_options *)options, go_log, (void *)handle, level));
}

static inline go_answer go_options_set_events(uintptr_t options, uintptr_t handle) {
    return go_status(kv_options_set_events((kv_options *)options, go_event, (void *)handle));
}

static inline go_answer go_option_describe(size_t index, kv_option_info_t *info) {
    info->size = sizeof *info;
    return go_status(kv_option_describe(index, info));
}

static inline go_answer go_compact(uintptr_t db, uintptr_t handle) {
    return go_status(kv_compact_with((kv_db *)db, go_progress, (void *)handle));
}

static inline go_answer go_compact_cancel(uintptr_t db) {
    return go_status(kv_compact_cancel((kv_db *)db));
}

static inline go_answer go_compaction_pause(uintptr_t db) {
    return go_status(kv_compaction_pause((kv_db *)db));
}

static inline go_answer go_compaction_resume(uintptr_t db) {
    return go_status(kv_compaction_resume((kv_db *)db));
}

static inline go_answer go_backup(uintptr_t db, const char *dir, uintptr_t handle) {
    return go_status(kv_backup_with((kv_db *)db, dir, go_progress, (void *)handle));
}

static inline go_answer go_restore(const char *from, const char *to, uintptr_t handle) {
    return go_status(kv_restore_with(from, to, go_progress, (void *)handle));
}

static inline go_answer go_verify(const char *path, uintptr_t handle) {
    char *report = NULL;
    kv_status status =
        kv_verify_with(path, KV_REPORT_JSON, NULL, go_progress, (void *)handle, &report);
    go_answer answer = go_status(status);
    answer.bytes = report;
    return answer;
}

static inline go_answer go_salvage(const char *from, const char *to, uintptr_t handle) {
    char *report = NULL;
    kv_status status =
        kv_salvage_with(from, to, KV_REPORT_JSON, NULL, go_progress, (void *)handle, &report);
    go_answer answer = go_status(status);
    answer.bytes = report;
    return answer;
}

static inline go_answer go_stats(uintptr_t db, kv_stats_t *stats) {
    stats->size = sizeof *stats;
    return go_status(kv_stats((kv_db *)db, stats));
}

static inline go_answer go_latency(uintptr_t db, int32_t operation, kv_latency_t *latency) {
    latency->size = sizeof *latency;
    return go_status(kv_latency((kv_db *)db, operation, latency));
}

static inline go_answer go_metrics(uintptr_t db) {
    char *text = NULL;
    go_answer answer = go_status(kv_metrics((kv_db *)db, &text));
    answer.bytes = text;
    return answer;
}

#endif
