/**
 * The C interface of libkv, an embeddable key-value store. Link with -lkv.
 *
 * House rules, which every function keeps:
 *
 * 1. Every call that can fail returns kv_status. KV_OK is 0. Small positive numbers are
 *    answers (KV_NOT_FOUND, KV_BUFFER_TOO_SMALL), not failures; failures are negative. A number
 *    is never reused and never changed. kv_strerror() names a status, kv_status_class() says
 *    what a program can do about it.
 * 2. Detail for people (which file, which offset, what the system said) is kv_error_message().
 *    It belongs to the calling thread and holds until that thread's next call. Nobody frees it.
 * 3. Inputs come first, outputs last. Outputs are written only on success; the one exception is
 *    the length that KV_BUFFER_TOO_SMALL reports. Keys and values are bytes with a length: NULL
 *    with length 0 is the empty string, NULL with another length is KV_NULL_ARGUMENT, and an
 *    empty value is not a missing key.
 * 4. Handles are opaque: numbers that are checked on every call, never addresses. What new or
 *    open made, free or close takes back, and they take NULL quietly; free leaves alone what was
 *    freed before. In every other call a handle that was freed or closed answers KV_CLOSED,
 *    however many are made after it, and one of another type KV_INVALID_ARGUMENT. The bytes of a
 *    kv_view stay readable until it is released, also after kv_close(). A child of fork() gets
 *    KV_FORKED from every call on its parent's databases, and cannot open its own once the parent
 *    had opened one: fork first, or run another program with exec.
 * 5. One kv_db may be used by any number of threads at once. Every other handle belongs to one
 *    thread at a time; a second call meanwhile answers KV_BUSY, where it would do harm. A thread
 *    must not be cancelled, nor leave by longjmp(), inside a call.
 * 6. No function unwinds, aborts or exits, whatever it is passed that C can check: NULL, a
 *    length past the limits, a closed or freed handle, one of another type. A bug inside comes
 *    back as KV_INTERNAL, and the database refuses writes from then on (KV_READ_ONLY) until it is
 *    opened again.
 * 7. There are no structs by value, no bit fields and no enums in the interface, and functions
 *    of the program's are called only where it asks for it (kv_compact_with(), kv_backup_with(),
 *    kv_restore_with(), kv_verify_with(), kv_salvage_with(), kv_options_set_log(),
 *    kv_options_set_events()), never by a read or a write: the foreign-function layer of every
 *    language can call everything. Structs that the caller makes begin with their size.
 *
 * @file
 */

#ifndef KV_H
#define KV_H

/* Generated from src/ffi by cbindgen: change it there. */

#include <stddef.h>
#include <stdint.h>

/** The version of this header; kv_version() is that of the library that is loaded. */
#define KV_VERSION_MAJOR 1
/** The second part of it: raised when something is added. */
#define KV_VERSION_MINOR 0
/** The third part of it. */
#define KV_VERSION_PATCH 0
/** The same as text. */
#define KV_VERSION_STRING "1.0.0"
/** major * 1000000 + minor * 1000 + patch */
#define KV_VERSION_NUMBER 1000000

/**
 * The compiler warns when the status of a call is not looked at. Define it as nothing before
 * this header is included to turn that off.
 */
#ifndef KV_MUST_USE
#if defined(__cplusplus) && __cplusplus >= 201703L
#define KV_MUST_USE [[nodiscard]]
#elif defined(__GNUC__)
#define KV_MUST_USE __attribute__((__warn_unused_result__))
#else
#define KV_MUST_USE
#endif
#endif

/** No function throws. */
#if defined(__cplusplus) && __cplusplus >= 201103L
#define KV_NOEXCEPT noexcept
#else
#define KV_NOEXCEPT
#endif


/**
 * The longest key in bytes. The shortest is 1 byte.
 */
#define KV_MAX_KEY_LEN 65535

/**
 * The longest value in bytes: 4 GiB - 1. The shortest is 0 bytes.
 */
#define KV_MAX_VALUE_LEN 4294967295

/**
 * Class of KV_OK.
 */
#define KV_CLASS_OK 0

/**
 * Class of the positive statuses: the call did its work, and this is what it found.
 */
#define KV_CLASS_ANSWER 1

/**
 * Class of what passes by itself: the same call can succeed later.
 */
#define KV_CLASS_RETRY 2

/**
 * Class of the caller's mistakes: the same call fails again until the program is changed.
 */
#define KV_CLASS_CALLER 3

/**
 * Class of what the machine lacks (room, memory, permission, a working disk): tell a person.
 */
#define KV_CLASS_ENVIRONMENT 4

/**
 * Class of damage on disk: keep the files, look at the message.
 */
#define KV_CLASS_CORRUPT 5

/**
 * Class of bugs in libkv.
 */
#define KV_CLASS_INTERNAL 6

/**
 * Never force writes to the medium. They survive the death of the process at any instruction;
 * a power cut may lose the newest.
 */
#define KV_SYNC_NONE 0

/**
 * Force writes in the background, at most the sync interval after they were acknowledged: a
 * power cut loses at most about that. The default.
 */
#define KV_SYNC_INTERVAL 1

/**
 * Force every write before it is acknowledged: a power cut loses none.
 */
#define KV_SYNC_ALWAYS 2

/**
 * Read through a memory map: fastest, but a disk that fails to read raises SIGBUS. The default.
 */
#define KV_READ_MMAP 0

/**
 * Read by pread(): slower, and a disk that fails to read is KV_IO.
 */
#define KV_READ_PREAD 1

/**
 * Refuse to open a damaged database with KV_CORRUPT, and touch nothing. The default.
 */
#define KV_ON_DAMAGE_FAIL 0

/**
 * Open what is whole of a damaged database, for reading only.
 */
#define KV_ON_DAMAGE_READ_ONLY 1

/**
 * The database compacts by itself, in the background. The default.
 */
#define KV_COMPACTION_AUTO 0

/**
 * The database is compacted by kv_compact() only.
 */
#define KV_COMPACTION_MANUAL 1

/**
 * Log level: something is lost or refused. Damage; the database refuses writes.
 */
#define KV_LOG_ERROR 1

/**
 * Log level: something needs a look. A full disk, a torn end of the log, slowed writers.
 */
#define KV_LOG_WARN 2

/**
 * Log level: what happens seldom. Opening, compaction, checkpoints, closing.
 */
#define KV_LOG_INFO 3

/**
 * Log level: what happens often. Each segment, each hint.
 */
#define KV_LOG_DEBUG 4

/**
 * Event: messages and events were dropped before this one, since the program's functions took too
 * long. count: how many.
 */
#define KV_EVENT_DROPPED 1

/**
 * Event: the database is open. count: keys; bytes: of its segments; duration_ns: of kv_open().
 */
#define KV_EVENT_OPENED 2

/**
 * Event: a crash had torn the end of the log, which was cut off. segment: where; bytes: what is
 * left of it.
 */
#define KV_EVENT_TAIL_CUT 3

/**
 * Event: a full segment of the log is on the medium for good. segment; bytes: its length.
 */
#define KV_EVENT_SEALED 4

/**
 * Event: compaction has put what was live of some segments in their place. segment: the first of
 * them; count: how many; bytes: what was won; duration_ns.
 */
#define KV_EVENT_COMPACTED 5

/**
 * Event: damage was met. The message says in which file. segment: of it, or 0 if it is another
 * file; bytes: how many of the file lie before the damage. Each place is told once.
 */
#define KV_EVENT_DAMAGED 6

/**
 * Event: writers were made to pause, since what is done behind them is behind. count: pauses;
 * duration_ns: of all of them.
 */
#define KV_EVENT_STALLED 7

/**
 * Event: a write found no room on the disk, or within max_disk_bytes.
 */
#define KV_EVENT_DISK_FULL 8

/**
 * Event: after that, a write has found room again.
 */
#define KV_EVENT_DISK_HAS_ROOM 9

/**
 * Event: the database refuses writes from now on. The message says why.
 */
#define KV_EVENT_READ_ONLY 10

/**
 * Event: the database is closed, and this is the last event. duration_ns: of kv_close().
 */
#define KV_EVENT_CLOSED 11

/**
 * The write is on the medium when the option "sync" of the database says. The default.
 */
#define KV_WRITE_SYNC_DEFAULT 0

/**
 * The write is on the medium before it is acknowledged.
 */
#define KV_WRITE_SYNC_YES 1

/**
 * Nobody waits for the medium.
 */
#define KV_WRITE_SYNC_NO 2

/**
 * The longest time to live, in milliseconds: some 30,000 years.
 */
#define KV_MAX_TTL_MS 1000000000000000

/**
 * What kv_ttl() tells of a value that never expires.
 */
#define KV_NO_TTL 18446744073709551615ull

/**
 * A report as lines for people.
 */
#define KV_REPORT_TEXT 0

/**
 * A report as one JSON object for programs. Its members are described in docs/RECOVERY.md.
 */
#define KV_REPORT_JSON 1

/**
 * Severity: what a crash leaves, and the next open puts right.
 */
#define KV_SEVERITY_NOTE 0

/**
 * Severity: bytes are not as they were written, but nothing is lost by it.
 */
#define KV_SEVERITY_WARNING 1

/**
 * Severity: something that was written is lost, or wrong.
 */
#define KV_SEVERITY_DAMAGE 2

/**
 * About the manifest.
 */
#define KV_ABOUT_MANIFEST 1

/**
 * About a file that should be there.
 */
#define KV_ABOUT_MISSING 2

/**
 * About the header page of a segment.
 */
#define KV_ABOUT_HEADER 3

/**
 * About the length of a file.
 */
#define KV_ABOUT_LENGTH 4

/**
 * About records: bytes in which none is as it was written.
 */
#define KV_ABOUT_RECORD 5

/**
 * About a batch of which not all is there.
 */
#define KV_ABOUT_BATCH 6

/**
 * About the order of writes: each has a number, which must be there once.
 */
#define KV_ABOUT_SEQUENCE 7

/**
 * About the seal at the end of a segment.
 */
#define KV_ABOUT_SEAL 8

/**
 * About the end of a log that was not closed.
 */
#define KV_ABOUT_TAIL 9

/**
 * About what is known of values that expire.
 */
#define KV_ABOUT_EXPIRY 10

/**
 * About the hint of a segment.
 */
#define KV_ABOUT_HINT 11

/**
 * About the checkpoint of the index.
 */
#define KV_ABOUT_CHECKPOINT 12

/**
 * About how much garbage is counted.
 */
#define KV_ABOUT_GARBAGE 13

/**
 * About a file that belongs to no part of the database.
 */
#define KV_ABOUT_STRAY 14

/**
 * About a value that kv_salvage() brought though a newer one is lost.
 */
#define KV_ABOUT_OLDER 15

/**
 * Latency of kv_get(), kv_get_into().
 */
#define KV_LATENCY_GET 0

/**
 * Latency of kv_put(), kv_put_with(), kv_put_commit().
 */
#define KV_LATENCY_PUT 1

/**
 * Latency of kv_delete(), kv_delete_with().
 */
#define KV_LATENCY_DELETE 2

/**
 * Latency of kv_exists().
 */
#define KV_LATENCY_EXISTS 3

/**
 * Latency of kv_view_get().
 */
#define KV_LATENCY_VIEW 4

/**
 * Latency of kv_write().
 */
#define KV_LATENCY_WRITE 5

/**
 * Latency of kv_add().
 */
#define KV_LATENCY_ADD 6

/**
 * Latency of kv_touch().
 */
#define KV_LATENCY_TOUCH 7

/**
 * Latency of kv_get_many(), kv_view_get_many().
 */
#define KV_LATENCY_GET_MANY 8

/**
 * Latency of kv_iter_next().
 */
#define KV_LATENCY_ITERATE 9

/**
 * Latency of kv_sync().
 */
#define KV_LATENCY_SYNC 10

/**
 * Latency in the background, or shared: putting the log on the medium, for all who wait for it.
 */
#define KV_LATENCY_LOG_SYNC 11

/**
 * Latency in the background: putting a full segment on the medium.
 */
#define KV_LATENCY_SEAL 12

/**
 * Latency in the background, or of kv_compact(): compacting a group of segments.
 */
#define KV_LATENCY_COMPACTION 13

/**
 * Latency in the background: writing the hint of a segment.
 */
#define KV_LATENCY_HINT 14

/**
 * Latency in the background, and at closing: writing a checkpoint of the index.
 */
#define KV_LATENCY_CHECKPOINT 15

/**
 * Writes that are to happen together. The pointer is a number that libkv checks on every call,
 * not an address. A batch belongs to no database.
 */
typedef struct kv_batch kv_batch;

/**
 * An open database. The pointer is a number that libkv checks on every call, not an address:
 * compare it, copy it, pass it, and never look behind it.
 */
typedef struct kv_db kv_db;

/**
 * A walk over all keys and values, as they were at one moment, each once and in no order. The
 * pointer is a number that libkv checks on every call, not an address. As long as it is held, what
 * it sees is kept, as for a kv_snapshot. Free it soon.
 */
typedef struct kv_iter kv_iter;

/**
 * The settings of a database, to be passed to kv_open().
 */
typedef struct kv_options kv_options;

/**
 * Room for a value, in the log of a database. What is put there becomes the value of a key with
 * kv_put_commit(), and is as if it had never been with kv_put_abort().
 */
typedef struct kv_reservation kv_reservation;

/**
 * A database as it was at one moment: what is written afterwards is not seen, and what expires
 * afterwards is there still. The pointer is a number that libkv checks on every call, not an
 * address. As long as it is held, what it sees is kept: in memory some hundred bytes for each key
 * that is written meanwhile, on disk what compaction would have removed. Free it soon.
 */
typedef struct kv_snapshot kv_snapshot;

/**
 * Values that are read where they lie, without a copy. It keeps files of the database mapped
 * and on disk: release it soon.
 */
typedef struct kv_view kv_view;

/**
 * What a call returns: KV_OK, an answer (positive) or a failure (negative). The type is a
 * plain 32-bit integer; a later libkv may return numbers that this header does not name, so
 * a switch needs a default, where kv_status_class() says what to do.
 */
typedef int32_t kv_status;

/**
 * What there is to know of an option. Set size to sizeof(kv_option_info_t) before the call. A
 * later libkv may add members at the end; it leaves alone what is beyond the size that it is
 * passed. All texts are static, in UTF-8 and never NULL.
 */
typedef struct kv_option_info_t {
    /**
     * In: bytes of this struct. Out: bytes of it that libkv has filled.
     */
    size_t size;
    /**
     * Its name, for kv_options_set() and kv_options_get().
     */
    const char *name;
    /**
     * "bytes" (a size such as 64MiB), "number", "flag" (true or false) or "choice".
     */
    const char *type_name;
    /**
     * The unit of its number; empty where it has none.
     */
    const char *unit;
    /**
     * What it is unless it is set.
     */
    const char *default_value;
    /**
     * What it may be: the choices, or the least and the greatest number.
     */
    const char *range;
    /**
     * What it is for, in a few words.
     */
    const char *description;
} kv_option_info_t;

/**
 * Told what libkv has to say to people. See kv_options_set_log().
 *
 * message is in UTF-8, has at most 511 bytes and a NUL, and is readable until the function
 * returns; context is what kv_options_set_log() was passed.
 */
typedef void (*kv_log_fn)(int32_t level, const char *message, void *context);

/**
 * Something that happened to a database. A later libkv may add members at the end, and events.
 */
typedef struct kv_event_t {
    /**
     * Bytes of this struct that libkv has filled.
     */
    size_t size;
    /**
     * What happened: one of the KV_EVENT_ constants, which say what the figures mean.
     */
    int32_t kind;
    /**
     * How much it matters: one of the KV_LOG_ constants.
     */
    int32_t level;
    /**
     * When, in milliseconds since 1970.
     */
    uint64_t unix_ms;
    /**
     * The number of the segment it is about, which is in its file's name; 0: about none.
     */
    uint64_t segment;
    /**
     * How many; 0 where it counts nothing.
     */
    uint64_t count;
    /**
     * How many bytes; 0 where it has none.
     */
    uint64_t bytes;
    /**
     * How many nanoseconds it took; 0 where it took none.
     */
    uint64_t duration_ns;
    /**
     * The same in words, as the log has it.
     */
    const char *message;
} kv_event_t;

/**
 * Told what libkv has to say to programs. See kv_options_set_events().
 *
 * *event and its message are readable until the function returns; context is what
 * kv_options_set_events() was passed.
 */
typedef void (*kv_event_fn)(const struct kv_event_t *event, void *context);

/**
 * Bytes with a length. NULL with length 0 is the empty string.
 */
typedef struct kv_slice_t {
    /**
     * The first byte.
     */
    const void *data;
    /**
     * How many there are.
     */
    size_t len;
} kv_slice_t;

/**
 * What became of one key of many.
 */
typedef struct kv_result_t {
    /**
     * KV_OK, KV_NOT_FOUND, or why this key could not be read.
     */
    kv_status status;
    /**
     * With KV_OK the value's first byte, never NULL, also if it has none; else NULL.
     */
    const void *value;
    /**
     * With KV_OK the value's length in bytes, 0 included; else 0.
     */
    size_t value_len;
} kv_result_t;

/**
 * What comes with one write, and what it depends on. Set size to sizeof(kv_write_options_t) and
 * what is not asked for to 0, as in kv_write_options_t options = {.size = sizeof options}.
 * A later libkv may add members at the end.
 */
typedef struct kv_write_options_t {
    /**
     * Bytes of this struct.
     */
    size_t size;
    /**
     * The value expires so many milliseconds from now, at most KV_MAX_TTL_MS; 0: never.
     */
    uint64_t ttl_ms;
    /**
     * Write only if the key is there and has this version, as kv_get_version() tells it; 0: in
     * any case.
     */
    uint64_t if_version;
    /**
     * KV_WRITE_SYNC_DEFAULT, KV_WRITE_SYNC_YES or KV_WRITE_SYNC_NO.
     */
    int32_t sync;
    /**
     * 1: write only if the key is not there.
     */
    int32_t if_absent;
    /**
     * 1: write nothing if the key has this very value, and would expire as it does.
     */
    int32_t skip_if_equal;
    /**
     * 1: the value expires when the one before it would have; ttl_ms is for a key that is not
     * there.
     */
    int32_t keep_ttl;
} kv_write_options_t;

/**
 * How far kv_compact_with(), kv_backup_with(), kv_restore_with(), kv_verify_with() or
 * kv_salvage_with() is. A later libkv may add members at the end.
 */
typedef struct kv_progress_t {
    /**
     * Bytes of this struct that libkv has filled.
     */
    size_t size;
    /**
     * Bytes of the segments that are to be compacted, backed up, restored, verified or salvaged.
     * It can grow meanwhile.
     */
    uint64_t total_bytes;
    /**
     * Bytes of them that were read or linked, or need not be.
     */
    uint64_t done_bytes;
    /**
     * Segments that are to be compacted, backed up, restored, verified or salvaged. It can grow
     * meanwhile.
     */
    uint64_t segments_total;
    /**
     * Segments of them that are done: compacted and gone, at their new place, or looked at.
     */
    uint64_t segments_done;
} kv_progress_t;

/**
 * Called now and then by kv_compact_with(), kv_backup_with(), kv_restore_with(), kv_verify_with()
 * and kv_salvage_with(), on the thread that called them: after every few hundred KiB, or after a
 * segment that was linked. It may use the database, with two exceptions that return KV_BUSY: to
 * close it, and to compact it in the midst of compacting it. It must return: no longjmp(), no
 * exception of C++.
 *
 * *progress is readable until it returns; context is what the caller passed. It returns 0 to go
 * on, anything else to end the call, which returns KV_CANCELLED.
 */
typedef int32_t (*kv_progress_fn)(const struct kv_progress_t *progress, void *context);

/**
 * Something that is wrong with a database. A later libkv may add members at the end, and numbers.
 */
typedef struct kv_problem_t {
    /**
     * Bytes of this struct that libkv has filled.
     */
    size_t size;
    /**
     * How bad it is: one of the KV_SEVERITY_ constants.
     */
    int32_t severity;
    /**
     * What it is about: one of the KV_ABOUT_ constants.
     */
    int32_t about;
    /**
     * The name of the file in the directory.
     */
    const char *file;
    /**
     * Where in the file.
     */
    uint64_t offset;
    /**
     * How many bytes of it are concerned; 0 if that is not known.
     */
    uint64_t length;
    /**
     * The key that is concerned, as far as it can be read: it may be damaged itself. NULL if none
     * is known.
     */
    const void *key;
    /**
     * Bytes of the key.
     */
    size_t key_len;
    /**
     * What is wrong, in words, in UTF-8.
     */
    const char *what;
} kv_problem_t;

/**
 * Told of each problem when it is found, by kv_verify_with() and kv_salvage_with(), on the thread
 * that called them. It must return: no longjmp(), no exception of C++.
 *
 * *problem and what it points to are readable until it returns; context is what the caller passed.
 * It returns 0 to go on, anything else to end the call, which returns KV_CANCELLED.
 */
typedef int32_t (*kv_problem_fn)(const struct kv_problem_t *problem, void *context);

/**
 * Figures of an open database. Set size to sizeof(kv_stats_t) before the call. A later libkv
 * may add members at the end; it leaves alone what is beyond the size that it is passed.
 */
typedef struct kv_stats_t {
    /**
     * In: bytes of this struct. Out: bytes of it that libkv has filled.
     */
    size_t size;
    /**
     * Keys.
     */
    uint64_t keys;
    /**
     * Bytes of the keys' newest records: keys, values and what libkv adds to them.
     */
    uint64_t live_bytes;
    /**
     * Bytes of all other records: replaced, deleted and expired values (of the last an estimate),
     * and notes of deletions.
     */
    uint64_t dead_bytes;
    /**
     * Bytes of the files of the log, with what is allocated ahead of the writes. Hints and the
     * checkpoint of the index, which can be removed without a loss, are not counted.
     */
    uint64_t disk_bytes;
    /**
     * Files that hold records.
     */
    uint64_t segments;
    /**
     * Bytes of memory that the index takes.
     */
    uint64_t index_bytes;
    /**
     * Record bytes that kv_put() and kv_delete() have written since kv_open().
     */
    uint64_t bytes_put;
    /**
     * Bytes that compaction has read since then.
     */
    uint64_t bytes_compaction_read;
    /**
     * Bytes that compaction has written since then.
     */
    uint64_t bytes_compacted;
    /**
     * Compactions that have come to their end since then.
     */
    uint64_t compactions;
    /**
     * Compactions in the background that have failed since then; each is tried again.
     */
    uint64_t compaction_failures;
    /**
     * Files that compaction has removed since then.
     */
    uint64_t segments_removed;
    /**
     * 1: a compaction is under way; 0: none is.
     */
    uint64_t compaction_running;
    /**
     * 1: kv_compaction_pause() was called; 0: it was not, or kv_compaction_resume() after it.
     */
    uint64_t compaction_paused;
    /**
     * Bytes of the files that the present compaction reads.
     */
    uint64_t compaction_total_bytes;
    /**
     * Bytes of them that it has read.
     */
    uint64_t compaction_done_bytes;
    /**
     * Bytes of hints and checkpoints, for opening fast, written since kv_open().
     */
    uint64_t bytes_hints_and_checkpoints;
    /**
     * How often writers were made to pause since kv_open(), because the medium or compaction
     * was behind.
     */
    uint64_t writer_pauses;
    /**
     * Nanoseconds of these pauses, all together.
     */
    uint64_t writer_paused_ns;
    /**
     * Full files of the log that are not yet on the medium.
     */
    uint64_t waiting_segments;
    /**
     * How often the log has gone on in a new file since kv_open().
     */
    uint64_t rolls;
    /**
     * How often a writer had to make that file itself, since none was ready.
     */
    uint64_t rolls_unprepared;
    /**
     * Syncs that writes waited for and made, under KV_SYNC_ALWAYS or by kv_sync().
     */
    uint64_t syncs_led;
    /**
     * Waits that ended because another's sync had done it.
     */
    uint64_t syncs_shared;
    /**
     * Messages and events that were dropped, since the program's functions took too long.
     */
    uint64_t events_dropped;
    /**
     * Records that puts, deletes and batches have written since kv_open().
     */
    uint64_t writes;
    /**
     * Those of them that delete.
     */
    uint64_t deletes;
    /**
     * Records that a power cut could lose now, since they may not be on the medium yet.
     */
    uint64_t unsynced_writes;
    /**
     * Files of the log that are complete and on the medium for good.
     */
    uint64_t sealed_segments;
    /**
     * Files of the log that are mapped or open for reading.
     */
    uint64_t open_files;
    /**
     * Snapshots that are open, those of iterators included.
     */
    uint64_t snapshots;
    /**
     * Bytes of memory for what only they see.
     */
    uint64_t snapshot_bytes;
    /**
     * When kv_open() was called, in milliseconds since 1970.
     */
    uint64_t opened_unix_ms;
    /**
     * 1: the database refuses writes, since a failure or because it was opened so; 0: it does not.
     */
    uint64_t read_only;
    /**
     * Bytes of expired records that are not yet removed; dead_bytes has them too. About.
     */
    uint64_t expired_bytes;
} kv_stats_t;

/**
 * How long an operation takes. Set size to sizeof(kv_latency_t) before the call. A later libkv may
 * add members at the end; it leaves alone what is beyond the size that it is passed. The quantiles
 * are right to 1.6 %; times longer than 18 minutes count as that.
 */
typedef struct kv_latency_t {
    /**
     * In: bytes of this struct. Out: bytes of it that libkv has filled.
     */
    size_t size;
    /**
     * How many were timed since kv_open(). 0: none, and all that follows but name is 0.
     */
    uint64_t count;
    /**
     * Of so many, one was timed, on average: 1 for what takes long, more for what is short.
     */
    uint64_t one_in;
    /**
     * How many nanoseconds those that were timed took together.
     */
    uint64_t sum_ns;
    /**
     * The shortest.
     */
    uint64_t min_ns;
    /**
     * Half of them did not take longer.
     */
    uint64_t p50_ns;
    /**
     * 90 % of them did not take longer.
     */
    uint64_t p90_ns;
    /**
     * 99 % of them did not take longer.
     */
    uint64_t p99_ns;
    /**
     * 99.9 % of them did not take longer.
     */
    uint64_t p999_ns;
    /**
     * The longest of those that were timed.
     */
    uint64_t max_ns;
    /**
     * The name of the operation, static: "get", "put", "log_sync".
     */
    const char *name;
} kv_latency_t;

/**
 * Done.
 */
#define KV_OK 0

/**
 * Answer: the key is not in the database.
 */
#define KV_NOT_FOUND 1

/**
 * Answer: the value is longer than the buffer. Nothing was copied; the length is reported.
 */
#define KV_BUFFER_TOO_SMALL 2

/**
 * Answer: if_absent was asked for, and the key is in the database. Nothing was written.
 */
#define KV_EXISTS 3

/**
 * Answer: if_version was asked for, and the key has another version, or is not there. Nothing was
 * written.
 */
#define KV_VERSION_MISMATCH 4

/**
 * Answer: kv_verify() has found damage, or kv_salvage() has made a database of what was left. The
 * report says what is damaged, or lost.
 */
#define KV_DAMAGED 5

/**
 * A pointer that must not be NULL is NULL.
 */
#define KV_NULL_ARGUMENT -1

/**
 * A value that is no valid choice: a number out of a list, an empty path, a handle that no
 * function of libkv returned.
 */
#define KV_INVALID_ARGUMENT -2

/**
 * The key has length 0.
 */
#define KV_EMPTY_KEY -3

/**
 * The key is longer than KV_MAX_KEY_LEN.
 */
#define KV_KEY_TOO_LONG -4

/**
 * The value is longer than KV_MAX_VALUE_LEN.
 */
#define KV_VALUE_TOO_LONG -5

/**
 * No option has this name. The message lists those there are.
 */
#define KV_UNKNOWN_OPTION -6

/**
 * The option exists; the value is malformed or out of range. The message says what is allowed.
 */
#define KV_INVALID_OPTION -7

/**
 * The path is a URL, or asks for something this build cannot do.
 */
#define KV_UNSUPPORTED -8

/**
 * There is no database at the path, and creating one was not allowed.
 */
#define KV_DOES_NOT_EXIST -9

/**
 * There is a database at the path, and a new one was asked for.
 */
#define KV_ALREADY_EXISTS -10

/**
 * The path is a file, a device or a socket, not a directory.
 */
#define KV_NOT_A_DIRECTORY -11

/**
 * The directory holds other things, and no database.
 */
#define KV_NOT_A_DATABASE -12

/**
 * The database was written by a newer libkv.
 */
#define KV_NEWER_FORMAT -13

/**
 * This process has the database open already: use that kv_db, from any thread.
 */
#define KV_ALREADY_OPEN -14

/**
 * The handle was closed or freed, or the database that it belongs to was closed.
 */
#define KV_CLOSED -15

/**
 * The process is a child of the one that opened databases. It cannot use or open any.
 */
#define KV_FORKED -16

/**
 * The database refuses writes: after an earlier failure, which the message names, or because
 * it was opened so. Reads go on. To write again, close it, mend the cause and open it.
 */
#define KV_READ_ONLY -17

/**
 * The value is no counter: it has not eight bytes.
 */
#define KV_NOT_A_COUNTER -18

/**
 * The counter would leave the range of int64_t. It was not changed.
 */
#define KV_OVERFLOW -19

/**
 * The batch is longer than a file of the log can be. Nothing was written.
 */
#define KV_BATCH_TOO_LARGE -20

/**
 * Another process has the database open; the message names its pid. Try again later.
 */
#define KV_LOCKED -30

/**
 * The call was ended before its time: by kv_compact_cancel(), by kv_close(), or by its own
 * progress function. Nothing is lost; it can be made again.
 */
#define KV_CANCELLED -31

/**
 * The call cannot be made now: another thread is using the handle, or it is made from inside a
 * callback. It can be made afterwards.
 */
#define KV_BUSY -32

/**
 * The operating system does not permit it; or a file of the database has a second name elsewhere
 * (a hard link), and nothing is written to such a file.
 */
#define KV_PERMISSION_DENIED -40

/**
 * The disk, a quota or a file-size limit is full. Nothing was written, nothing is lost; it
 * works again when there is room.
 */
#define KV_NO_SPACE -41

/**
 * Memory could not be had.
 */
#define KV_OUT_OF_MEMORY -42

/**
 * The process or the system has no more file descriptors, maps, locks or threads, or the
 * process has 4096 databases open.
 */
#define KV_TOO_MANY_OPEN -43

/**
 * The operating system failed to read or write. The message names the file.
 */
#define KV_IO -44

/**
 * The write may or may not have happened, and may or may not be found again after a crash.
 * Read the key to learn what it is now.
 */
#define KV_UNKNOWN_OUTCOME -45

/**
 * The index has grown to max_index_bytes: keys that are there can be overwritten and deleted,
 * new ones cannot be added. Delete some, or open the database with a larger limit.
 */
#define KV_INDEX_FULL -46

/**
 * Bytes on disk are not what was written. The message names the file and the offset.
 */
#define KV_CORRUPT -60

/**
 * A bug in libkv. The message says where; please report it.
 */
#define KV_INTERNAL -61

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Names the version of the library that is loaded, such as "1.2.3". It can differ from
 * KV_VERSION_STRING, which is the version the program was compiled with.
 *
 * @return The version, never NULL. It cannot fail and leaves kv_error_message() alone.
 *
 * Ownership: static; do not free it.
 * Threads: any, at any time.
 */
const char *kv_version(void) KV_NOEXCEPT;

/**
 * Names a status in a few words, for a log.
 *
 * @param status  Any number, also one that is no status.
 * @return The name, never NULL; "unknown status" for a number that is no status of the loaded
 *   library. It cannot fail and leaves kv_error_message() alone.
 *
 * Ownership: static; do not free it.
 * Threads: any, at any time.
 */
const char *kv_strerror(kv_status status) KV_NOEXCEPT;

/**
 * Says what a program can do about a status.
 *
 * @param status  Any number, also one that is no status.
 * @return One of the KV_CLASS_ constants; KV_CLASS_CALLER for a number that is no status of
 *   the loaded library. It cannot fail and leaves kv_error_message() alone.
 *
 * Threads: any, at any time.
 */
int32_t kv_status_class(kv_status status) KV_NOEXCEPT;

/**
 * Explains the last failure on the calling thread in a sentence: which file, which offset,
 * what the operating system said. Ask right after a call has returned a negative status: a
 * call that succeeds, or answers with a positive status, leaves the message as it was.
 *
 * @return The message in UTF-8, at most 511 bytes and then cut at a whole character; empty
 *   before the first failure; never NULL. It cannot fail.
 *
 * Ownership: the thread's; do not free it. The bytes hold until the next call of any function
 *   of libkv on this thread, and at most until the thread ends: copy what is to be kept.
 * Threads: any, at any time; each sees its own failures only.
 */
const char *kv_error_message(void) KV_NOEXCEPT;

/**
 * Frees a value of kv_get(), or all values of a kv_get_many(). A pointer that is neither, or was
 * freed before, is left alone as far as that can be seen, and kv_error_message() says so; to
 * pass one is a bug in the program all the same.
 *
 * @param value  The value or the arena, or NULL, which does nothing.
 *
 * Ownership: takes the value back; do not touch it afterwards.
 * Threads: any thread may free what another one got, also after kv_close().
 */
void kv_free(void *value) KV_NOEXCEPT;

/**
 * Makes a set of options, all at their defaults.
 *
 * @param options  Out: the options. Not NULL.
 * @return
 *   - KV_OK: *options is set.
 *   - KV_NULL_ARGUMENT: mend the call.
 *   - KV_OUT_OF_MEMORY: free some and try again.
 *   - KV_INTERNAL: a bug in libkv; report the message.
 *
 * Ownership: the caller frees the options with kv_options_free().
 * Threads: any. The options belong to one thread at a time.
 */
KV_MUST_USE kv_status kv_options_new(struct kv_options **options) KV_NOEXCEPT;

/**
 * Frees options. Databases opened with them are not affected.
 *
 * @param options  The options, or NULL, which does nothing. What are no options, or were freed
 *   before, is left alone, and kv_error_message() says so.
 *
 * Ownership: takes the options back; free them once.
 * Threads: any, one at a time.
 */
void kv_options_free(struct kv_options *options) KV_NOEXCEPT;

/**
 * Sets an option by its name from text, as a configuration file or a command line has it.
 *
 *     name                         allowed values                         default
 *     segment_size                 1MiB to 2GiB                           64MiB
 *     sync                         none, interval, always                 interval
 *     sync_interval_ms             1 to 86400000                          1000
 *     create_if_missing            true, false                            true
 *     error_if_exists              true, false                            false
 *     verify_checksums             true, false                            true
 *     read_mode                    mmap, pread                            mmap
 *     on_damage                    fail, read_only                        fail
 *     compaction                   auto, manual                           auto
 *     compaction_garbage_percent   0 (automatic), or 5 to 90              0
 *     compaction_bytes_per_second  0 (no limit), or 1 and more            0
 *     max_disk_bytes               0 (no limit), or 4MiB and more         0
 *     max_index_bytes              0 (no limit), or 1MiB and more         0
 *     latency_histograms           true, false                            false
 *     publish_stats_ms             0 (off), or 100 to 3600000             0
 *     file_mode                    0600, 0640, 0660, 0644, 0664, 0666     0600
 *
 * Sizes may have a unit: 64MiB, 64 MB and 64m are the same. max_disk_bytes is four segments at
 * least, which kv_open() checks.
 *
 * The typed functions below say what each one does; kv_option_describe() lists them all.
 *
 * @param options  The options. Not NULL.
 * @param name     The option's name. Not NULL.
 * @param value    Its value. Not NULL.
 * @return
 *   - KV_OK: the option is set.
 *   - KV_UNKNOWN_OPTION: no option has this name; the message lists them.
 *   - KV_INVALID_OPTION: it cannot have this value; the message says what it can have.
 *   - KV_INVALID_ARGUMENT: the name or the value is not UTF-8, or options is no handle.
 *   - KV_NULL_ARGUMENT: mend the call.
 *   - KV_CLOSED, KV_BUSY: options was freed, or another thread is using it.
 *   - KV_INTERNAL: a bug in libkv; report the message.
 *
 * Ownership: the strings stay the caller's.
 * Threads: any, one at a time.
 */
KV_MUST_USE
kv_status kv_options_set(struct kv_options *options,
                         const char *name,
                         const char *value)
KV_NOEXCEPT;

/**
 * Sets the size at which the log goes on in a new file.
 *
 * @param options  The options. Not NULL.
 * @param bytes    Bytes, 1 MiB to 2 GiB; 64 MiB by default.
 * @return
 *   - KV_OK: the option is set.
 *   - KV_INVALID_OPTION: it is out of range.
 *   - KV_NULL_ARGUMENT, KV_INVALID_ARGUMENT (options is no handle): mend the call.
 *   - KV_CLOSED, KV_BUSY: options was freed, or another thread is using it.
 *   - KV_INTERNAL: a bug in libkv; report the message.
 *
 * Threads: any, one at a time.
 */
KV_MUST_USE
kv_status kv_options_set_segment_size(struct kv_options *options,
                                      uint64_t bytes)
KV_NOEXCEPT;

/**
 * Sets when an acknowledged write is on the medium.
 *
 * @param options  The options. Not NULL.
 * @param level    KV_SYNC_NONE, KV_SYNC_INTERVAL (the default) or KV_SYNC_ALWAYS.
 * @return
 *   - KV_OK: the option is set.
 *   - KV_INVALID_ARGUMENT: it is none of these, or options is no handle.
 *   - KV_NULL_ARGUMENT: mend the call.
 *   - KV_CLOSED, KV_BUSY: options was freed, or another thread is using it.
 *   - KV_INTERNAL: a bug in libkv; report the message.
 *
 * Threads: any, one at a time.
 */
KV_MUST_USE kv_status kv_options_set_sync(struct kv_options *options, int32_t level) KV_NOEXCEPT;

/**
 * Sets how long a write may stay off the medium under KV_SYNC_INTERVAL.
 *
 * @param options  The options. Not NULL.
 * @param ms       Milliseconds, 1 to 86400000 (a day); 1000 by default.
 * @return
 *   - KV_OK: the option is set.
 *   - KV_INVALID_OPTION: it is out of range.
 *   - KV_NULL_ARGUMENT, KV_INVALID_ARGUMENT (options is no handle): mend the call.
 *   - KV_CLOSED, KV_BUSY: options was freed, or another thread is using it.
 *   - KV_INTERNAL: a bug in libkv; report the message.
 *
 * Threads: any, one at a time.
 */
KV_MUST_USE
kv_status kv_options_set_sync_interval_ms(struct kv_options *options,
                                          uint64_t ms)
KV_NOEXCEPT;

/**
 * Sets whether kv_open() makes a database where there is none.
 *
 * @param options  The options. Not NULL.
 * @param yes      1 (the default): it does. 0: it returns KV_DOES_NOT_EXIST.
 * @return
 *   - KV_OK: the option is set.
 *   - KV_INVALID_ARGUMENT: yes is neither 0 nor 1, or options is no handle.
 *   - KV_NULL_ARGUMENT: mend the call.
 *   - KV_CLOSED, KV_BUSY: options was freed, or another thread is using it.
 *   - KV_INTERNAL: a bug in libkv; report the message.
 *
 * Threads: any, one at a time.
 */
KV_MUST_USE
kv_status kv_options_set_create_if_missing(struct kv_options *options,
                                           int32_t yes)
KV_NOEXCEPT;

/**
 * Sets whether kv_open() refuses a database that exists.
 *
 * @param options  The options. Not NULL.
 * @param yes      1: it returns KV_ALREADY_EXISTS. 0 (the default): it opens it.
 * @return
 *   - KV_OK: the option is set.
 *   - KV_INVALID_ARGUMENT: yes is neither 0 nor 1, or options is no handle.
 *   - KV_NULL_ARGUMENT: mend the call.
 *   - KV_CLOSED, KV_BUSY: options was freed, or another thread is using it.
 *   - KV_INTERNAL: a bug in libkv; report the message.
 *
 * Threads: any, one at a time.
 */
KV_MUST_USE
kv_status kv_options_set_error_if_exists(struct kv_options *options,
                                         int32_t yes)
KV_NOEXCEPT;

/**
 * Sets whether every read checks the checksum of what it reads.
 *
 * @param options  The options. Not NULL.
 * @param yes      1 (the default): damage is KV_CORRUPT. 0: damage to a value goes unseen.
 * @return
 *   - KV_OK: the option is set.
 *   - KV_INVALID_ARGUMENT: yes is neither 0 nor 1, or options is no handle.
 *   - KV_NULL_ARGUMENT: mend the call.
 *   - KV_CLOSED, KV_BUSY: options was freed, or another thread is using it.
 *   - KV_INTERNAL: a bug in libkv; report the message.
 *
 * Threads: any, one at a time.
 */
KV_MUST_USE
kv_status kv_options_set_verify_checksums(struct kv_options *options,
                                          int32_t yes)
KV_NOEXCEPT;

/**
 * Sets how files that are complete are read.
 *
 * @param options  The options. Not NULL.
 * @param mode     KV_READ_MMAP (the default) or KV_READ_PREAD.
 * @return
 *   - KV_OK: the option is set.
 *   - KV_INVALID_ARGUMENT: it is none of these, or options is no handle.
 *   - KV_NULL_ARGUMENT: mend the call.
 *   - KV_CLOSED, KV_BUSY: options was freed, or another thread is using it.
 *   - KV_INTERNAL: a bug in libkv; report the message.
 *
 * Threads: any, one at a time.
 */
KV_MUST_USE
kv_status kv_options_set_read_mode(struct kv_options *options,
                                   int32_t mode)
KV_NOEXCEPT;

/**
 * Sets what kv_open() does with a damaged database.
 *
 * @param options  The options. Not NULL.
 * @param action   KV_ON_DAMAGE_FAIL (the default) or KV_ON_DAMAGE_READ_ONLY.
 * @return
 *   - KV_OK: the option is set.
 *   - KV_INVALID_ARGUMENT: it is none of these, or options is no handle.
 *   - KV_NULL_ARGUMENT: mend the call.
 *   - KV_CLOSED, KV_BUSY: options was freed, or another thread is using it.
 *   - KV_INTERNAL: a bug in libkv; report the message.
 *
 * Threads: any, one at a time.
 */
KV_MUST_USE
kv_status kv_options_set_on_damage(struct kv_options *options,
                                   int32_t action)
KV_NOEXCEPT;

/**
 * Sets how often the database publishes its figures, for those who cannot open it while this
 * process has it open, such as `kv top`: in the file STATS in its directory, which is replaced
 * when they have changed. docs/FORMAT.md says what is in it. A thread of libkv's does that; no
 * call waits for it, or fails since it failed, which the log is told once. kv_close() removes the
 * file; one that a killed process left is known as such, and the next kv_open() removes it.
 *
 * @param options  The options. Not NULL.
 * @param ms       Milliseconds, 100 to 3600000 (an hour), or 0: never, the default.
 * @return
 *   - KV_OK: the option is set.
 *   - KV_INVALID_OPTION: it is out of range.
 *   - KV_NULL_ARGUMENT, KV_INVALID_ARGUMENT (options is no handle): mend the call.
 *   - KV_CLOSED, KV_BUSY: options was freed, or another thread is using it.
 *   - KV_INTERNAL: a bug in libkv; report the message.
 *
 * Threads: any, one at a time.
 */
KV_MUST_USE
kv_status kv_options_set_publish_stats_ms(struct kv_options *options,
                                          uint64_t ms)
KV_NOEXCEPT;

/**
 * Sets who may read and write the files that are made while the database is open, backups
 * included: their mode, whatever the umask is. A directory that is made gets the same mode, and
 * may be entered by those who may read. Directories and files that are there keep theirs, and the
 * mode is not stored: a database that several users share is opened with it each time. What
 * kv_restore() makes is for its owner alone.
 *
 * @param options  The options. Not NULL.
 * @param mode     0600 (the default), 0640, 0660, 0644, 0664 or 0666: octal numbers.
 * @return
 *   - KV_OK: the option is set.
 *   - KV_INVALID_OPTION: it is none of these.
 *   - KV_NULL_ARGUMENT, KV_INVALID_ARGUMENT (options is no handle): mend the call.
 *   - KV_CLOSED, KV_BUSY: options was freed, or another thread is using it.
 *   - KV_INTERNAL: a bug in libkv; report the message.
 *
 * Threads: any, one at a time.
 */
KV_MUST_USE
kv_status kv_options_set_file_mode(struct kv_options *options,
                                   uint64_t mode)
KV_NOEXCEPT;

/**
 * Sets who compacts.
 *
 * @param options  The options. Not NULL.
 * @param mode     KV_COMPACTION_AUTO (the default) or KV_COMPACTION_MANUAL.
 * @return
 *   - KV_OK: the option is set.
 *   - KV_INVALID_ARGUMENT: it is none of these, or options is no handle.
 *   - KV_NULL_ARGUMENT: mend the call.
 *   - KV_CLOSED, KV_BUSY: options was freed, or another thread is using it.
 *   - KV_INTERNAL: a bug in libkv; report the message.
 *
 * Threads: any, one at a time.
 */
KV_MUST_USE
kv_status kv_options_set_compaction(struct kv_options *options,
                                    int32_t mode)
KV_NOEXCEPT;

/**
 * Sets how much of the log may be garbage before the database compacts by itself. Less takes less
 * space, and more writing: overwriting all keys at random, compaction writes about 1.4 bytes for
 * each byte put at 23 percent, half as much at 40.
 *
 * The default is what keeps all files together below 1.5 times the newest records, and two
 * segments: 23 percent where these have 136 bytes on average (a key of 16 and a value of 100), up
 * to 33 where they have thousands, since the files that make opening fast take about 21 bytes for
 * each record, however long it is. With shorter records it is 23 percent too, and all files take
 * more than that.
 *
 * @param options  The options. Not NULL.
 * @param percent  5 to 90; 0 (the default): automatic.
 * @return
 *   - KV_OK: the option is set.
 *   - KV_INVALID_OPTION: it is out of range.
 *   - KV_NULL_ARGUMENT, KV_INVALID_ARGUMENT (options is no handle): mend the call.
 *   - KV_CLOSED, KV_BUSY: options was freed, or another thread is using it.
 *   - KV_INTERNAL: a bug in libkv; report the message.
 *
 * Threads: any, one at a time.
 */
KV_MUST_USE
kv_status kv_options_set_compaction_garbage_percent(struct kv_options *options,
                                                    uint64_t percent)
KV_NOEXCEPT;

/**
 * Sets how fast compaction goes in the background, in bytes read and written. The limit is raised
 * when there is more garbage than is to be, and lifted when there is too much: the bound on space
 * comes first. There is no limit by default, since compaction rests by itself as long as there
 * is no hurry.
 *
 * @param options  The options. Not NULL.
 * @param bytes    Bytes in a second; 0 (the default): no limit.
 * @return
 *   - KV_OK: the option is set.
 *   - KV_NULL_ARGUMENT, KV_INVALID_ARGUMENT (options is no handle): mend the call.
 *   - KV_CLOSED, KV_BUSY: options was freed, or another thread is using it.
 *   - KV_INTERNAL: a bug in libkv; report the message.
 *
 * Threads: any, one at a time.
 */
KV_MUST_USE
kv_status kv_options_set_compaction_bytes_per_second(struct kv_options *options,
                                                     uint64_t bytes)
KV_NOEXCEPT;

/**
 * Sets how much disk the database may take, all files together. kv_put() returns KV_NO_SPACE
 * before that is exceeded. One and a half segments of it are kept for kv_delete() and compaction,
 * so that room can always be won back; near the limit, compaction takes also what garbage it
 * leaves else.
 *
 * @param options  The options. Not NULL.
 * @param bytes    Bytes, at least four segments; 0 (the default): what the disk has.
 * @return
 *   - KV_OK: the option is set.
 *   - KV_INVALID_OPTION: it is less than 4 MiB. What four segments are is known at kv_open(),
 *     which returns this too.
 *   - KV_NULL_ARGUMENT, KV_INVALID_ARGUMENT (options is no handle): mend the call.
 *   - KV_CLOSED, KV_BUSY: options was freed, or another thread is using it.
 *   - KV_INTERNAL: a bug in libkv; report the message.
 *
 * Threads: any, one at a time.
 */
KV_MUST_USE
kv_status kv_options_set_max_disk_bytes(struct kv_options *options,
                                        uint64_t bytes)
KV_NOEXCEPT;

/**
 * Sets how much memory the index may take: about 11 bytes for each key. Past it, kv_put() of a key
 * that is not there returns KV_INDEX_FULL when the index would have to grow for it. Other keys
 * are overwritten, read and deleted as ever, and deleting makes room. kv_open() loads a database
 * whatever it takes.
 *
 * @param options  The options. Not NULL.
 * @param bytes    Bytes, at least 1 MiB; 0 (the default): no limit.
 * @return
 *   - KV_OK: the option is set.
 *   - KV_INVALID_OPTION: it is out of range.
 *   - KV_NULL_ARGUMENT, KV_INVALID_ARGUMENT (options is no handle): mend the call.
 *   - KV_CLOSED, KV_BUSY: options was freed, or another thread is using it.
 *   - KV_INTERNAL: a bug in libkv; report the message.
 *
 * Threads: any, one at a time.
 */
KV_MUST_USE
kv_status kv_options_set_max_index_bytes(struct kv_options *options,
                                         uint64_t bytes)
KV_NOEXCEPT;

/**
 * Reads an option back as text that kv_options_set() takes: "64MiB", "interval", "true".
 *
 * @param options  The options. Not NULL.
 * @param name     The option's name. Not NULL.
 * @param buf      Out: the text, NUL-terminated. NULL if cap is 0, else KV_NULL_ARGUMENT.
 * @param cap      The buffer's size in bytes. 32 are enough for every option.
 * @param len      Out: the length of the text without its NUL. Not NULL.
 * @return
 *   - KV_OK: the text is in buf, with its NUL.
 *   - KV_BUFFER_TOO_SMALL: *len is set; the text takes one byte more. buf is as it was.
 *   - KV_UNKNOWN_OPTION: no option has this name; the message lists them.
 *   - KV_INVALID_ARGUMENT: the name is not UTF-8, cap is more than any memory has, or options is
 *     no handle.
 *   - KV_NULL_ARGUMENT: mend the call.
 *   - KV_CLOSED, KV_BUSY: options was freed, or another thread is using it.
 *   - KV_INTERNAL: a bug in libkv; report the message.
 *
 * Ownership: the name and the buffer stay the caller's.
 * Threads: any, one at a time.
 */
KV_MUST_USE
kv_status kv_options_get(const struct kv_options *options,
                         const char *name,
                         char *buf,
                         size_t cap,
                         size_t *len)
KV_NOEXCEPT;

/**
 * Describes an option. Those that there are have the indexes from 0 on, without a gap.
 *
 * @param index  Which one.
 * @param info   In and out: its size is set by the caller, all else here. Not NULL.
 * @return
 *   - KV_OK: the first info->size bytes are filled. If the library is older than the header,
 *     that is less than it was.
 *   - KV_NOT_FOUND: there are no more than index options.
 *   - KV_NULL_ARGUMENT: mend the call.
 *   - KV_INVALID_ARGUMENT: the size is less than that of its own member.
 *   - KV_INTERNAL: a bug in libkv; report the message.
 *
 * Ownership: the struct stays the caller's; the texts are static.
 * Threads: any, each with a struct of its own.
 */
KV_MUST_USE kv_status kv_option_describe(size_t index, struct kv_option_info_t *info) KV_NOEXCEPT;

/**
 * Has a function told, line by line, what databases do that are opened with these options: how
 * they were opened and recovered, compactions, slowed writers, full disks, damage.
 *
 * The function is called on a thread of libkv's, never from inside another call, and by one
 * database once at a time: opening two with the same options has it called by two threads. It may
 * use the database, but not close it: kv_close() of a database that tells a function anything
 * returns KV_BUSY in it. If it is slow, nothing but the messages waits for it: up to 256 are kept,
 * and those that come then are dropped, counted and told of (KV_EVENT_DROPPED). kv_close() returns
 * when it has been told everything, so it must not wait for a thread that closes its database. It
 * must return: no longjmp(), no exception of C++.
 *
 * @param options  The options. Not NULL.
 * @param log      The function, or NULL (the default) for none.
 * @param context  Passed to the function. It must stay usable until the databases are closed, and
 *   may be used by threads of libkv's.
 * @param level    The least important level it is told of: KV_LOG_ERROR, KV_LOG_WARN, KV_LOG_INFO
 *   or KV_LOG_DEBUG.
 * @return
 *   - KV_OK: the option is set.
 *   - KV_INVALID_ARGUMENT: the level is none of these.
 *   - KV_NULL_ARGUMENT: mend the call.
 *   - KV_INTERNAL: a bug in libkv; report the message.
 *
 * Ownership: the context stays the caller's.
 * Threads: any, one at a time.
 */
KV_MUST_USE
kv_status kv_options_set_log(struct kv_options *options,
                             kv_log_fn log,
                             void *context,
                             int32_t level)
KV_NOEXCEPT;

/**
 * Has a function told of events of databases that are opened with these options, with figures
 * that a program can use. All that is said of kv_options_set_log() holds of it too.
 *
 * @param options  The options. Not NULL.
 * @param events   The function, or NULL (the default) for none.
 * @param context  Passed to the function. It must stay usable until the databases are closed, and
 *   may be used by threads of libkv's.
 * @return
 *   - KV_OK: the option is set.
 *   - KV_NULL_ARGUMENT: mend the call.
 *   - KV_INTERNAL: a bug in libkv; report the message.
 *
 * Ownership: the context stays the caller's.
 * Threads: any, one at a time.
 */
KV_MUST_USE
kv_status kv_options_set_events(struct kv_options *options,
                                kv_event_fn events,
                                void *context)
KV_NOEXCEPT;

/**
 * Opens the database in a directory, or makes one there.
 *
 * @param path     The directory, in the bytes of the file system, NUL-terminated. Not NULL.
 * @param options  The options, or NULL for the defaults. They are copied.
 * @param db       Out: the database. Not NULL.
 * @return
 *   - KV_OK: *db is set.
 *   - KV_NULL_ARGUMENT, KV_INVALID_ARGUMENT (the path is empty, options is no handle): mend the
 *     call.
 *   - KV_CLOSED, KV_BUSY: options was freed, or another thread is changing it.
 *   - KV_UNSUPPORTED: the path is a URL (scheme://...), which is kept for later.
 *   - KV_DOES_NOT_EXIST: there is none, or no directory to make it in, and it may not be made.
 *   - KV_ALREADY_EXISTS: there is one, and error_if_exists is set.
 *   - KV_NOT_A_DIRECTORY, KV_NOT_A_DATABASE: something else is there; it is not touched.
 *   - KV_NEWER_FORMAT: open it with a newer libkv.
 *   - KV_ALREADY_OPEN: this process has it open; use that kv_db.
 *   - KV_LOCKED: another process has it open, whose pid the message names; try again later.
 *   - KV_FORKED: the parent of this process had opened databases before fork().
 *   - KV_PERMISSION_DENIED, KV_NO_SPACE, KV_OUT_OF_MEMORY, KV_TOO_MANY_OPEN, KV_IO: the system
 *     refused; mend what the message names and try again.
 *   - KV_CORRUPT: the database is damaged; the message says where. KV_ON_DAMAGE_READ_ONLY opens
 *     what is whole.
 *   - KV_INTERNAL: a bug in libkv; report the message.
 *
 * Ownership: the caller closes the database with kv_close(). The path stays the caller's.
 * Threads: any. The database may be used by any number at once.
 * Durability: a database that was made is on the medium when this returns.
 */
KV_MUST_USE
kv_status kv_open(const char *path,
                  const struct kv_options *options,
                  struct kv_db **db)
KV_NOEXCEPT;

/**
 * Closes a database. It ends compactions, waits for the calls that other threads have in it, and
 * frees what it holds, except the views that were not released.
 *
 * @param db  The database, or NULL, which does nothing and is KV_OK.
 * @return  Whatever it returns but KV_BUSY, the database is closed, or was no open database to
 *   begin with.
 *   - KV_OK: closed.
 *   - KV_CLOSED: it was closed before, or another thread is closing it.
 *   - KV_INVALID_ARGUMENT: db is no handle.
 *   - KV_BUSY: this is called from a progress function of db, or a function that is told of
 *     messages or events, and it stays open.
 *   - KV_FORKED: it is the parent's, where it stays open.
 *   - KV_PERMISSION_DENIED, KV_NO_SPACE, KV_TOO_MANY_OPEN, KV_OUT_OF_MEMORY: it could not be
 *     closed tidily. Writes are as safe as after the death of the process.
 *   - KV_IO: the medium failed; the last writes may not be on it.
 *   - KV_READ_ONLY: an earlier failure, which the message names, had stopped writes; what was
 *     written shortly before it may not be on the medium.
 *   - KV_INTERNAL: a bug in libkv; report the message.
 *
 * Ownership: takes the database back. Calls with it return KV_CLOSED from now on.
 * Threads: any, also while others use the database; one of several that close it does so.
 * Durability: everything acknowledged is on the medium on KV_OK, whatever the sync option is.
 */
KV_MUST_USE kv_status kv_close(struct kv_db *db) KV_NOEXCEPT;

/**
 * Stores a value under a key, in the place of the one that was there.
 *
 * @param db         The database.
 * @param key        The key. NULL is KV_EMPTY_KEY if key_len is 0, else KV_NULL_ARGUMENT.
 * @param key_len    Its length in bytes, 1 to KV_MAX_KEY_LEN.
 * @param value      The value. NULL is the empty one if value_len is 0, else KV_NULL_ARGUMENT.
 * @param value_len  Its length in bytes, 0 to KV_MAX_VALUE_LEN.
 * @return
 *   - KV_OK: every later read finds the value.
 *   - KV_NULL_ARGUMENT, KV_EMPTY_KEY, KV_KEY_TOO_LONG, KV_VALUE_TOO_LONG: mend the call.
 *   - KV_INVALID_ARGUMENT: db is no handle.
 *   - KV_CLOSED, KV_FORKED: db cannot be used any more, or not in this process.
 *   - KV_NO_SPACE: nothing was written; it works again when there is room.
 *   - KV_INDEX_FULL: the key is new, and the index may not grow; nothing was written.
 *   - KV_OUT_OF_MEMORY, KV_TOO_MANY_OPEN: nothing was written; it works again when the system
 *     has more.
 *   - KV_PERMISSION_DENIED: nothing was written; it works again when it is permitted.
 *   - KV_IO: nothing was written, and the database refuses writes now.
 *   - KV_UNKNOWN_OUTCOME: the value may be there or not, and the database refuses writes now;
 *     open it again and read.
 *   - KV_READ_ONLY: the database refuses writes; the message says since when.
 *   - KV_CORRUPT: damage was met; the message says where. Nothing was written.
 *   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
 *
 * Ownership: the key and the value stay the caller's and are copied.
 * Threads: any number at once.
 * Durability: the value survives the death of the process when this returns KV_OK, and a power
 *   cut as the sync option says.
 */
KV_MUST_USE
kv_status kv_put(struct kv_db *db,
                 const void *key,
                 size_t key_len,
                 const void *value,
                 size_t value_len)
KV_NOEXCEPT;

/**
 * Reads the value of a key into memory that the caller gets to keep.
 *
 * @param db         The database.
 * @param key        The key. NULL is KV_EMPTY_KEY if key_len is 0, else KV_NULL_ARGUMENT.
 * @param key_len    Its length in bytes, 1 to KV_MAX_KEY_LEN.
 * @param value      Out: a copy of the value at a multiple of 16 bytes, not NUL-terminated;
 *   never set to NULL, also if its length is 0. Not NULL.
 * @param value_len  Out: its length in bytes, 0 included. Not NULL.
 * @return
 *   - KV_OK: both outputs are set.
 *   - KV_NOT_FOUND: the key is not there.
 *   - KV_NULL_ARGUMENT, KV_EMPTY_KEY, KV_KEY_TOO_LONG: mend the call.
 *   - KV_INVALID_ARGUMENT: db is no handle.
 *   - KV_CLOSED, KV_FORKED: db cannot be used any more, or not in this process.
 *   - KV_OUT_OF_MEMORY, KV_TOO_MANY_OPEN, KV_IO: the system refused; try again when it has
 *     room, or report the message.
 *   - KV_CORRUPT: the value on disk is damaged; other keys can be read.
 *   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
 *
 * Ownership: the caller frees the value with kv_free(), an empty one too.
 * Threads: any number at once.
 * Durability: the value may be one that is not on the medium yet; see kv_sync().
 */
KV_MUST_USE
kv_status kv_get(struct kv_db *db,
                 const void *key,
                 size_t key_len,
                 void **value,
                 size_t *value_len)
KV_NOEXCEPT;

/**
 * Reads the value of a key into a buffer of the caller's. Nothing is allocated.
 *
 * @param db         The database.
 * @param key        The key. NULL is KV_EMPTY_KEY if key_len is 0, else KV_NULL_ARGUMENT.
 * @param key_len    Its length in bytes, 1 to KV_MAX_KEY_LEN.
 * @param buf        Out: the value. It must not overlap the key. NULL if cap is 0, else
 *   KV_NULL_ARGUMENT.
 * @param cap        The buffer's size in bytes.
 * @param value_len  Out: the value's length in bytes, 0 included. Not NULL.
 * @return
 *   - KV_OK: the first *value_len bytes of buf are the value; the rest is as it was.
 *   - KV_NOT_FOUND: the key is not there.
 *   - KV_BUFFER_TOO_SMALL: *value_len is the size needed, and buf is as it was. Try again with
 *     as much; the value may have grown meanwhile.
 *   - KV_NULL_ARGUMENT, KV_EMPTY_KEY, KV_KEY_TOO_LONG: mend the call.
 *   - KV_INVALID_ARGUMENT: db is no handle, buf and key overlap, or cap is more than any
 *     memory has.
 *   - KV_CLOSED, KV_FORKED: db cannot be used any more, or not in this process.
 *   - KV_OUT_OF_MEMORY, KV_TOO_MANY_OPEN, KV_IO: the system refused; try again when it has
 *     room, or report the message.
 *   - KV_CORRUPT: the value on disk is damaged; other keys can be read.
 *   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
 *
 * Ownership: the key and the buffer stay the caller's.
 * Threads: any number at once, each with a buffer of its own.
 * Durability: the value may be one that is not on the medium yet; see kv_sync().
 */
KV_MUST_USE
kv_status kv_get_into(struct kv_db *db,
                      const void *key,
                      size_t key_len,
                      void *buf,
                      size_t cap,
                      size_t *value_len)
KV_NOEXCEPT;

/**
 * Finds out whether a key is there, and how long its value is.
 *
 * @param db         The database.
 * @param key        The key. NULL is KV_EMPTY_KEY if key_len is 0, else KV_NULL_ARGUMENT.
 * @param key_len    Its length in bytes, 1 to KV_MAX_KEY_LEN.
 * @param value_len  Out: the value's length in bytes, 0 included; or NULL.
 * @return
 *   - KV_OK: the key is there, and *value_len is set.
 *   - KV_NOT_FOUND: it is not.
 *   - KV_NULL_ARGUMENT, KV_EMPTY_KEY, KV_KEY_TOO_LONG: mend the call.
 *   - KV_INVALID_ARGUMENT: db is no handle.
 *   - KV_CLOSED, KV_FORKED: db cannot be used any more, or not in this process.
 *   - KV_OUT_OF_MEMORY, KV_TOO_MANY_OPEN, KV_IO: the system refused; try again when it has
 *     room, or report the message.
 *   - KV_CORRUPT: the record on disk is damaged; other keys can be read.
 *   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
 *
 * Threads: any number at once.
 * Durability: the key may be one that is not on the medium yet; see kv_sync().
 */
KV_MUST_USE
kv_status kv_exists(struct kv_db *db,
                    const void *key,
                    size_t key_len,
                    size_t *value_len)
KV_NOEXCEPT;

/**
 * Deletes a key and its value.
 *
 * @param db       The database.
 * @param key      The key. NULL is KV_EMPTY_KEY if key_len is 0, else KV_NULL_ARGUMENT.
 * @param key_len  Its length in bytes, 1 to KV_MAX_KEY_LEN.
 * @return
 *   - KV_OK: the key was there and is gone.
 *   - KV_NOT_FOUND: it was not there, and nothing was written.
 *   - KV_NULL_ARGUMENT, KV_EMPTY_KEY, KV_KEY_TOO_LONG: mend the call.
 *   - KV_INVALID_ARGUMENT: db is no handle.
 *   - KV_CLOSED, KV_FORKED: db cannot be used any more, or not in this process.
 *   - KV_NO_SPACE: nothing was written; it works again when there is room.
 *   - KV_OUT_OF_MEMORY, KV_TOO_MANY_OPEN: nothing was written; it works again when the system
 *     has more.
 *   - KV_PERMISSION_DENIED: nothing was written; it works again when it is permitted.
 *   - KV_IO: nothing was written, and the database refuses writes now.
 *   - KV_UNKNOWN_OUTCOME: the key may be there or not, and the database refuses writes now;
 *     open it again and read.
 *   - KV_READ_ONLY: the database refuses writes; the message says since when.
 *   - KV_CORRUPT: damage was met; the message says where. Nothing was written.
 *   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
 *
 * Ownership: the key stays the caller's.
 * Threads: any number at once.
 * Durability: as kv_put(): a key that was deleted does not come back.
 */
KV_MUST_USE kv_status kv_delete(struct kv_db *db, const void *key, size_t key_len) KV_NOEXCEPT;

/**
 * Forces every write that was acknowledged before this call to the medium, and waits for it.
 *
 * @param db  The database.
 * @return
 *   - KV_OK: they survive a power cut.
 *   - KV_NULL_ARGUMENT, KV_INVALID_ARGUMENT: db is no handle.
 *   - KV_CLOSED, KV_FORKED: db cannot be used any more, or not in this process.
 *   - KV_READ_ONLY: the database refuses writes; the message says since when.
 *   - KV_NO_SPACE, KV_OUT_OF_MEMORY, KV_TOO_MANY_OPEN: nothing is lost; try again when the
 *     system has room.
 *   - KV_PERMISSION_DENIED: nothing is lost; try again when it is permitted.
 *   - KV_IO: the medium failed; they may survive a power cut or not, and the database refuses
 *     writes now.
 *   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
 *
 * Threads: any number at once; they share the work.
 * Durability: this is what makes it so, whatever the sync option is.
 */
KV_MUST_USE kv_status kv_sync(struct kv_db *db) KV_NOEXCEPT;

/**
 * Removes the database in a directory with all that it holds. Files that are not the
 * database's are left, and then the directory too.
 *
 * @param path  The directory, as for kv_open(). Not NULL.
 * @return
 *   - KV_OK: it is gone.
 *   - KV_NULL_ARGUMENT, KV_INVALID_ARGUMENT (the path is empty): mend the call.
 *   - KV_UNSUPPORTED: the path is a URL.
 *   - KV_DOES_NOT_EXIST, KV_NOT_A_DIRECTORY, KV_NOT_A_DATABASE: there is none; nothing is
 *     touched.
 *   - KV_ALREADY_OPEN: close it first.
 *   - KV_LOCKED: another process has it open, whose pid the message names; try again later.
 *   - KV_FORKED: the parent of this process had opened databases before fork().
 *   - KV_NEWER_FORMAT: a newer libkv wrote it, and must remove it; nothing is touched. (A damaged
 *     database is removed as any other.)
 *   - KV_PERMISSION_DENIED, KV_NO_SPACE, KV_OUT_OF_MEMORY, KV_TOO_MANY_OPEN, KV_IO: the system
 *     refused; part of it may be gone. Mend what the message names and try again.
 *   - KV_INTERNAL: a bug in libkv; report the message.
 *
 * Ownership: the path stays the caller's.
 * Threads: any.
 * Durability: it stays gone after a power cut when this returns KV_OK.
 */
KV_MUST_USE kv_status kv_destroy(const char *path) KV_NOEXCEPT;

/**
 * Finds the value of a key and shows it where it lies, without copying it. It does not change
 * while the view is held, whatever is put or deleted.
 *
 * @param db         The database.
 * @param key        The key. NULL is KV_EMPTY_KEY if key_len is 0, else KV_NULL_ARGUMENT.
 * @param key_len    Its length in bytes, 1 to KV_MAX_KEY_LEN.
 * @param view       Out: the view. Not NULL.
 * @param value      Out: the value's first byte, never set to NULL, also if there is none; at
 *   no particular alignment and not NUL-terminated. Not NULL.
 * @param value_len  Out: the value's length in bytes, 0 included. Not NULL.
 * @return
 *   - KV_OK: all three outputs are set.
 *   - KV_NOT_FOUND: the key is not there.
 *   - KV_NULL_ARGUMENT, KV_EMPTY_KEY, KV_KEY_TOO_LONG: mend the call.
 *   - KV_INVALID_ARGUMENT: db is no handle.
 *   - KV_CLOSED, KV_FORKED: db cannot be used any more, or not in this process.
 *   - KV_OUT_OF_MEMORY, KV_TOO_MANY_OPEN, KV_IO: the system refused; try again when it has
 *     room, or report the message.
 *   - KV_CORRUPT: the value on disk is damaged; other keys can be read.
 *   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
 *
 * Ownership: the caller releases the view with kv_view_release(), before or after kv_close().
 *   The value belongs to the view: read it until then, never write or free it.
 * Threads: any number at once. The view belongs to one thread at a time; its bytes may be read
 *   by many.
 * Durability: the value may be one that is not on the medium yet; see kv_sync().
 */
KV_MUST_USE
kv_status kv_view_get(struct kv_db *db,
                      const void *key,
                      size_t key_len,
                      struct kv_view **view,
                      const void **value,
                      size_t *value_len)
KV_NOEXCEPT;

/**
 * Releases a view. The bytes that it showed cannot be read any more.
 *
 * @param view  The view, or NULL, which does nothing. What is no view, or was released before, is
 *   left alone, and kv_error_message() says so.
 *
 * Ownership: takes the view back; release it once.
 * Threads: any, one at a time. In a child of fork() it does nothing: the view is its parent's.
 */
void kv_view_release(struct kv_view *view) KV_NOEXCEPT;

/**
 * Reads the values of many keys: faster than one by one, as the waits for memory overlap. All
 * values come in one piece of memory.
 *
 * @param db       The database.
 * @param n        How many keys there are; none is fine.
 * @param keys     The keys, each 1 to KV_MAX_KEY_LEN bytes long. Not NULL unless n is 0. A key
 *   may be there twice.
 * @param results  Out: what became of each key, in the order of the keys. Not NULL unless n
 *   is 0.
 * @param arena    Out: the memory that the values are in, or NULL if there is none. Not NULL.
 * @return
 *   - KV_OK: all of results and *arena are set. The status of each result is one of
 *     - KV_OK: the value is there.
 *     - KV_NOT_FOUND: the key is not there.
 *     - KV_NULL_ARGUMENT, KV_EMPTY_KEY, KV_KEY_TOO_LONG: this key is none.
 *     - KV_OUT_OF_MEMORY, KV_TOO_MANY_OPEN, KV_IO: the system refused to read this one.
 *     - KV_CORRUPT: this value is damaged on disk.
 *
 *     kv_error_message() is about the last key that failed.
 *   - KV_NULL_ARGUMENT: mend the call.
 *   - KV_INVALID_ARGUMENT: db is no handle, or n is more than any memory has.
 *   - KV_CLOSED, KV_FORKED: db cannot be used any more, or not in this process.
 *   - KV_OUT_OF_MEMORY: there is no memory for so many results.
 *   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
 *
 * Ownership: the caller frees the arena with kv_free(), and all values with it. The keys stay
 *   the caller's.
 * Threads: any number at once. Keys are read one after the other: others may write between two.
 * Durability: values may be some that are not on the medium yet; see kv_sync().
 */
KV_MUST_USE
kv_status kv_get_many(struct kv_db *db,
                      size_t n,
                      const struct kv_slice_t *keys,
                      struct kv_result_t *results,
                      void **arena)
KV_NOEXCEPT;

/**
 * Finds the values of many keys and shows them where they lie, without copying them.
 *
 * @param db       The database.
 * @param n        How many keys there are; none is fine.
 * @param keys     The keys, as for kv_get_many().
 * @param results  Out: what became of each key, as for kv_get_many(). Values are at no
 *   particular alignment.
 * @param view     Out: one view that keeps all values. Not NULL.
 * @return
 *   - KV_OK: all of results and *view are set, the statuses as for kv_get_many().
 *   - KV_NULL_ARGUMENT: mend the call.
 *   - KV_INVALID_ARGUMENT: db is no handle, or n is more than any memory has.
 *   - KV_CLOSED, KV_FORKED: db cannot be used any more, or not in this process.
 *   - KV_OUT_OF_MEMORY: there is no memory for so many results.
 *   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
 *
 * Ownership: the caller releases the view with kv_view_release(), before or after kv_close(),
 *   also if no key was found. The values belong to the view.
 * Threads: any number at once. The view belongs to one thread at a time; its bytes may be read
 *   by many. Keys are read one after the other: others may write between two.
 * Durability: values may be some that are not on the medium yet; see kv_sync().
 */
KV_MUST_USE
kv_status kv_view_get_many(struct kv_db *db,
                           size_t n,
                           const struct kv_slice_t *keys,
                           struct kv_result_t *results,
                           struct kv_view **view)
KV_NOEXCEPT;

/**
 * Stores a value under a key, if the key is as the options say. To check and to write is one
 * step: no other write comes in between.
 *
 * @param db         The database.
 * @param key        The key. NULL is KV_EMPTY_KEY if key_len is 0, else KV_NULL_ARGUMENT.
 * @param key_len    Its length in bytes, 1 to KV_MAX_KEY_LEN.
 * @param value      The value. NULL is the empty one if value_len is 0, else KV_NULL_ARGUMENT.
 * @param value_len  Its length in bytes, 0 to KV_MAX_VALUE_LEN.
 * @param options    What the write depends on and what comes with it; NULL is as kv_put().
 * @param version    Out: the key's version now; or NULL.
 * @return
 *   - KV_OK: every later read finds the value; or it was there, and skip_if_equal is set. *version
 *     is set.
 *   - KV_EXISTS: the key is there, against if_absent; nothing was written.
 *   - KV_VERSION_MISMATCH: the key has another version than if_version, or is not there; nothing
 *     was written. Read it again to go on.
 *   - KV_NULL_ARGUMENT, KV_EMPTY_KEY, KV_KEY_TOO_LONG, KV_VALUE_TOO_LONG: mend the call.
 *   - KV_INVALID_ARGUMENT: db is no handle, or a member of options is no choice; the message
 *     names it.
 *   - KV_UNSUPPORTED: options has a member that is newer than this libkv.
 *   - KV_CLOSED, KV_FORKED: db cannot be used any more, or not in this process.
 *   - KV_NO_SPACE: nothing was written; it works again when there is room.
 *   - KV_INDEX_FULL: the key is new, and the index may not grow; nothing was written.
 *   - KV_OUT_OF_MEMORY, KV_TOO_MANY_OPEN: nothing was written; it works again when the system
 *     has more.
 *   - KV_PERMISSION_DENIED: nothing was written; it works again when it is permitted.
 *   - KV_IO: nothing was written, and the database refuses writes now.
 *   - KV_UNKNOWN_OUTCOME: the value may be there or not, and the database refuses writes now;
 *     open it again and read.
 *   - KV_READ_ONLY: the database refuses writes; the message says since when.
 *   - KV_CORRUPT: damage was met; the message says where. Nothing was written.
 *   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
 *
 * Ownership: the key, the value and the options stay the caller's; the first two are copied.
 * Threads: any number at once; of several that write with the same if_version, one does.
 * Durability: as kv_put(), unless options->sync says otherwise.
 */
KV_MUST_USE
kv_status kv_put_with(struct kv_db *db,
                      const void *key,
                      size_t key_len,
                      const void *value,
                      size_t value_len,
                      const struct kv_write_options_t *options,
                      uint64_t *version)
KV_NOEXCEPT;

/**
 * Deletes a key and its value, if the key is as the options say.
 *
 * @param db       The database.
 * @param key      The key. NULL is KV_EMPTY_KEY if key_len is 0, else KV_NULL_ARGUMENT.
 * @param key_len  Its length in bytes, 1 to KV_MAX_KEY_LEN.
 * @param options  if_version and sync; the other members must be 0. NULL is as kv_delete().
 * @return
 *   - KV_OK: the key was there and is gone.
 *   - KV_NOT_FOUND: it was not there, whatever if_version is, and nothing was written.
 *   - KV_VERSION_MISMATCH: it has another version than if_version; nothing was written.
 *   - KV_NULL_ARGUMENT, KV_EMPTY_KEY, KV_KEY_TOO_LONG: mend the call.
 *   - KV_INVALID_ARGUMENT: db is no handle, a member of options is no choice, or another is set.
 *   - KV_UNSUPPORTED: options has a member that is newer than this libkv.
 *   - KV_CLOSED, KV_FORKED: db cannot be used any more, or not in this process.
 *   - KV_NO_SPACE: nothing was written; it works again when there is room.
 *   - KV_OUT_OF_MEMORY, KV_TOO_MANY_OPEN: nothing was written; it works again when the system
 *     has more.
 *   - KV_PERMISSION_DENIED: nothing was written; it works again when it is permitted.
 *   - KV_IO: nothing was written, and the database refuses writes now.
 *   - KV_UNKNOWN_OUTCOME: the key may be there or not, and the database refuses writes now;
 *     open it again and read.
 *   - KV_READ_ONLY: the database refuses writes; the message says since when.
 *   - KV_CORRUPT: damage was met; the message says where. Nothing was written.
 *   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
 *
 * Ownership: the key and the options stay the caller's.
 * Threads: any number at once.
 * Durability: as kv_put(), unless options->sync says otherwise.
 */
KV_MUST_USE
kv_status kv_delete_with(struct kv_db *db,
                         const void *key,
                         size_t key_len,
                         const struct kv_write_options_t *options)
KV_NOEXCEPT;

/**
 * Tells the version of a key: a number that is another after each write to the key, also if it
 * was deleted in between, and stays what it is otherwise. It is never 0.
 *
 * @param db       The database.
 * @param key      The key. NULL is KV_EMPTY_KEY if key_len is 0, else KV_NULL_ARGUMENT.
 * @param key_len  Its length in bytes, 1 to KV_MAX_KEY_LEN.
 * @param version  Out: its version. Not NULL.
 * @return
 *   - KV_OK: *version is set.
 *   - KV_NOT_FOUND: the key is not there.
 *   - KV_NULL_ARGUMENT, KV_EMPTY_KEY, KV_KEY_TOO_LONG: mend the call.
 *   - KV_INVALID_ARGUMENT: db is no handle.
 *   - KV_CLOSED, KV_FORKED: db cannot be used any more, or not in this process.
 *   - KV_OUT_OF_MEMORY, KV_TOO_MANY_OPEN, KV_IO: the system refused; try again when it has
 *     room, or report the message.
 *   - KV_CORRUPT: the record on disk is damaged; other keys can be read.
 *   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
 *
 * Threads: any number at once. Get the version before the value that a write shall depend on:
 *   then the write is refused if the value has changed since.
 * Durability: the write that made this version may not be on the medium yet; see kv_sync().
 */
KV_MUST_USE
kv_status kv_get_version(struct kv_db *db,
                         const void *key,
                         size_t key_len,
                         uint64_t *version)
KV_NOEXCEPT;

/**
 * Adds to a counter, in one step: no addition of another thread is lost. A counter is a value of
 * eight bytes, a signed number, the lowest byte first; a key that is not there counts as 0. When
 * it expires stays as it was.
 *
 * @param db       The database.
 * @param key      The key. NULL is KV_EMPTY_KEY if key_len is 0, else KV_NULL_ARGUMENT.
 * @param key_len  Its length in bytes, 1 to KV_MAX_KEY_LEN.
 * @param delta    What to add, or less than 0 to subtract.
 * @param result   Out: what the counter is now; or NULL.
 * @return
 *   - KV_OK: *result is set.
 *   - KV_NOT_A_COUNTER: the value has not eight bytes; nothing was written.
 *   - KV_OVERFLOW: the sum is no int64_t; nothing was written.
 *   - KV_NULL_ARGUMENT, KV_EMPTY_KEY, KV_KEY_TOO_LONG: mend the call.
 *   - KV_INVALID_ARGUMENT: db is no handle.
 *   - KV_CLOSED, KV_FORKED: db cannot be used any more, or not in this process.
 *   - KV_NO_SPACE: nothing was written; it works again when there is room.
 *   - KV_INDEX_FULL: the key is new, and the index may not grow; nothing was written.
 *   - KV_OUT_OF_MEMORY, KV_TOO_MANY_OPEN: nothing was written; it works again when the system
 *     has more.
 *   - KV_PERMISSION_DENIED: nothing was written; it works again when it is permitted.
 *   - KV_IO: nothing was written, and the database refuses writes now.
 *   - KV_UNKNOWN_OUTCOME: it may have been added or not, and the database refuses writes now;
 *     open it again and read.
 *   - KV_READ_ONLY: the database refuses writes; the message says since when.
 *   - KV_CORRUPT: damage was met; the message says where. Nothing was written.
 *   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
 *
 * Ownership: the key stays the caller's.
 * Threads: any number at once.
 * Durability: as kv_put().
 */
KV_MUST_USE
kv_status kv_add(struct kv_db *db,
                 const void *key,
                 size_t key_len,
                 int64_t delta,
                 int64_t *result)
KV_NOEXCEPT;

/**
 * Sets anew when the value of a key expires. The value is written anew for it.
 *
 * @param db       The database.
 * @param key      The key. NULL is KV_EMPTY_KEY if key_len is 0, else KV_NULL_ARGUMENT.
 * @param key_len  Its length in bytes, 1 to KV_MAX_KEY_LEN.
 * @param ttl_ms   Milliseconds from now, at most KV_MAX_TTL_MS; 0: never.
 * @return
 *   - KV_OK: the value is there, and expires then. The key has a new version, unless nothing had
 *     to be changed.
 *   - KV_NOT_FOUND: the key is not there, or has expired, and nothing was written.
 *   - KV_NULL_ARGUMENT, KV_EMPTY_KEY, KV_KEY_TOO_LONG: mend the call.
 *   - KV_INVALID_ARGUMENT: db is no handle, or ttl_ms is too long.
 *   - KV_CLOSED, KV_FORKED: db cannot be used any more, or not in this process.
 *   - KV_NO_SPACE: nothing was written; it works again when there is room.
 *   - KV_OUT_OF_MEMORY, KV_TOO_MANY_OPEN: nothing was written; it works again when the system
 *     has more.
 *   - KV_PERMISSION_DENIED: nothing was written; it works again when it is permitted.
 *   - KV_IO: nothing was written, and the database refuses writes now.
 *   - KV_UNKNOWN_OUTCOME: it may have been changed or not, and the database refuses writes now;
 *     open it again and read.
 *   - KV_READ_ONLY: the database refuses writes; the message says since when.
 *   - KV_CORRUPT: damage was met; the message says where. Nothing was written.
 *   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
 *
 * Ownership: the key stays the caller's.
 * Threads: any number at once.
 * Durability: as kv_put().
 */
KV_MUST_USE
kv_status kv_touch(struct kv_db *db,
                   const void *key,
                   size_t key_len,
                   uint64_t ttl_ms)
KV_NOEXCEPT;

/**
 * Tells how long the value of a key will still be there. Time goes on while the database is
 * closed, and does not go back when the system's clock is set back.
 *
 * @param db            The database.
 * @param key           The key. NULL is KV_EMPTY_KEY if key_len is 0, else KV_NULL_ARGUMENT.
 * @param key_len       Its length in bytes, 1 to KV_MAX_KEY_LEN.
 * @param remaining_ms  Out: milliseconds, at least 1; or KV_NO_TTL: it never expires. Not NULL.
 * @return
 *   - KV_OK: *remaining_ms is set.
 *   - KV_NOT_FOUND: the key is not there, or has expired.
 *   - KV_NULL_ARGUMENT, KV_EMPTY_KEY, KV_KEY_TOO_LONG: mend the call.
 *   - KV_INVALID_ARGUMENT: db is no handle.
 *   - KV_CLOSED, KV_FORKED: db cannot be used any more, or not in this process.
 *   - KV_OUT_OF_MEMORY, KV_TOO_MANY_OPEN, KV_IO: the system refused; try again when it has
 *     room, or report the message.
 *   - KV_CORRUPT: the record on disk is damaged; other keys can be read.
 *   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
 *
 * Threads: any number at once.
 * Durability: the value may be one that is not on the medium yet; see kv_sync().
 */
KV_MUST_USE
kv_status kv_ttl(struct kv_db *db,
                 const void *key,
                 size_t key_len,
                 uint64_t *remaining_ms)
KV_NOEXCEPT;

/**
 * Makes a batch without writes.
 *
 * @param batch  Out: the batch. Not NULL.
 * @return
 *   - KV_OK: *batch is set.
 *   - KV_NULL_ARGUMENT: mend the call.
 *   - KV_OUT_OF_MEMORY, KV_TOO_MANY_OPEN: free some and try again.
 *   - KV_INTERNAL: a bug in libkv; report the message.
 *
 * Ownership: the caller frees the batch with kv_batch_free(), before or after databases are
 *   closed.
 * Threads: any. The batch belongs to one thread at a time.
 */
KV_MUST_USE kv_status kv_batch_new(struct kv_batch **batch) KV_NOEXCEPT;

/**
 * Frees a batch. What was written with it stays written.
 *
 * @param batch  The batch, or NULL, which does nothing. What is no batch, or was freed before, is
 *   left alone, and kv_error_message() says so.
 *
 * Ownership: takes the batch back; free it once.
 * Threads: any, one at a time.
 */
void kv_batch_free(struct kv_batch *batch) KV_NOEXCEPT;

/**
 * Forgets all writes of a batch, which can then be filled anew. It keeps memory for that, up to a
 * few MiB.
 *
 * @param batch  The batch.
 * @return
 *   - KV_OK: it has no writes.
 *   - KV_NULL_ARGUMENT, KV_INVALID_ARGUMENT: batch is no handle.
 *   - KV_CLOSED, KV_BUSY: batch was freed, or another thread is using it.
 *   - KV_INTERNAL: a bug in libkv; report the message.
 *
 * Threads: any, one at a time.
 */
KV_MUST_USE kv_status kv_batch_clear(struct kv_batch *batch) KV_NOEXCEPT;

/**
 * Adds to a batch that a value is stored under a key. Of several writes to one key, the last one
 * counts.
 *
 * @param batch      The batch.
 * @param key        The key. NULL is KV_EMPTY_KEY if key_len is 0, else KV_NULL_ARGUMENT.
 * @param key_len    Its length in bytes, 1 to KV_MAX_KEY_LEN.
 * @param value      The value. NULL is the empty one if value_len is 0, else KV_NULL_ARGUMENT.
 * @param value_len  Its length in bytes, 0 to KV_MAX_VALUE_LEN.
 * @return
 *   - KV_OK: it is in the batch. No database is changed before kv_write().
 *   - KV_NULL_ARGUMENT, KV_EMPTY_KEY, KV_KEY_TOO_LONG, KV_VALUE_TOO_LONG: mend the call.
 *   - KV_INVALID_ARGUMENT: batch is no handle.
 *   - KV_CLOSED, KV_BUSY: batch was freed, or another thread is using it.
 *   - KV_OUT_OF_MEMORY: the batch is as it was before the call.
 *   - KV_INTERNAL: a bug in libkv; report the message.
 *
 * Ownership: the key and the value stay the caller's and are copied.
 * Threads: any, one at a time.
 */
KV_MUST_USE
kv_status kv_batch_put(struct kv_batch *batch,
                       const void *key,
                       size_t key_len,
                       const void *value,
                       size_t value_len)
KV_NOEXCEPT;

/**
 * The same for a value that expires.
 *
 * @param batch      The batch.
 * @param key        The key. NULL is KV_EMPTY_KEY if key_len is 0, else KV_NULL_ARGUMENT.
 * @param key_len    Its length in bytes, 1 to KV_MAX_KEY_LEN.
 * @param value      The value. NULL is the empty one if value_len is 0, else KV_NULL_ARGUMENT.
 * @param value_len  Its length in bytes, 0 to KV_MAX_VALUE_LEN.
 * @param ttl_ms     Milliseconds from kv_write() on, at most KV_MAX_TTL_MS; 0: it never expires.
 * @return
 *   - KV_OK: it is in the batch. No database is changed before kv_write().
 *   - KV_NULL_ARGUMENT, KV_EMPTY_KEY, KV_KEY_TOO_LONG, KV_VALUE_TOO_LONG: mend the call.
 *   - KV_INVALID_ARGUMENT: batch is no handle, or ttl_ms is too long.
 *   - KV_CLOSED, KV_BUSY: batch was freed, or another thread is using it.
 *   - KV_OUT_OF_MEMORY: the batch is as it was before the call.
 *   - KV_INTERNAL: a bug in libkv; report the message.
 *
 * Ownership: the key and the value stay the caller's and are copied.
 * Threads: any, one at a time.
 */
KV_MUST_USE
kv_status kv_batch_put_ttl(struct kv_batch *batch,
                           const void *key,
                           size_t key_len,
                           const void *value,
                           size_t value_len,
                           uint64_t ttl_ms)
KV_NOEXCEPT;

/**
 * Adds to a batch that a key is deleted. If it is not there when the batch is written, that is no
 * failure.
 *
 * @param batch    The batch.
 * @param key      The key. NULL is KV_EMPTY_KEY if key_len is 0, else KV_NULL_ARGUMENT.
 * @param key_len  Its length in bytes, 1 to KV_MAX_KEY_LEN.
 * @return
 *   - KV_OK: it is in the batch. No database is changed before kv_write().
 *   - KV_NULL_ARGUMENT, KV_EMPTY_KEY, KV_KEY_TOO_LONG: mend the call.
 *   - KV_INVALID_ARGUMENT: batch is no handle.
 *   - KV_CLOSED, KV_BUSY: batch was freed, or another thread is using it.
 *   - KV_OUT_OF_MEMORY: the batch is as it was before the call.
 *   - KV_INTERNAL: a bug in libkv; report the message.
 *
 * Ownership: the key stays the caller's and is copied.
 * Threads: any, one at a time.
 */
KV_MUST_USE
kv_status kv_batch_delete(struct kv_batch *batch,
                          const void *key,
                          size_t key_len)
KV_NOEXCEPT;

/**
 * Tells how many writes a batch has. Several to one key are counted each.
 *
 * @param batch  The batch.
 * @param count  Out: how many. Not NULL.
 * @return
 *   - KV_OK: *count is set.
 *   - KV_NULL_ARGUMENT, KV_INVALID_ARGUMENT: mend the call; the message names the argument.
 *   - KV_CLOSED, KV_BUSY: batch was freed, or another thread is changing it.
 *   - KV_INTERNAL: a bug in libkv; report the message.
 *
 * Threads: any number at once, while none changes the batch.
 */
KV_MUST_USE kv_status kv_batch_count(struct kv_batch *batch, size_t *count) KV_NOEXCEPT;

/**
 * Does all writes of a batch, or none of them: also after a crash, and whoever reads meanwhile
 * finds all of them or none. The batch keeps them; clear it to fill it anew, or write it again,
 * to this database or to another one.
 *
 * @param db       The database.
 * @param batch    The batch. One without writes does nothing.
 * @param options  sync; the other members must be 0. NULL is the default.
 * @return
 *   - KV_OK: every later read finds what the batch wrote.
 *   - KV_NULL_ARGUMENT: mend the call.
 *   - KV_INVALID_ARGUMENT: db or batch is no handle, or a member of options is no choice or may
 *     not be set; the message names it.
 *   - KV_UNSUPPORTED: options has a member that is newer than this libkv.
 *   - KV_CLOSED, KV_FORKED: db or batch cannot be used any more, or db not in this process.
 *   - KV_BUSY: another thread is changing the batch.
 *   - KV_BATCH_TOO_LARGE: it has more bytes than one file can have; nothing was written.
 *   - KV_NO_SPACE: nothing was written; it works again when there is room.
 *   - KV_INDEX_FULL: a key is new, and the index may not grow; nothing was written.
 *   - KV_OUT_OF_MEMORY, KV_TOO_MANY_OPEN: nothing was written; it works again when the system
 *     has more.
 *   - KV_PERMISSION_DENIED: nothing was written; it works again when it is permitted.
 *   - KV_IO: nothing was written, and the database refuses writes now.
 *   - KV_UNKNOWN_OUTCOME: all of it may be there or nothing, and the database refuses writes now;
 *     open it again and read.
 *   - KV_READ_ONLY: the database refuses writes; the message says since when.
 *   - KV_CORRUPT: damage was met; the message says where. Nothing was written.
 *   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
 *
 * Ownership: the batch and the options stay the caller's.
 * Threads: any number at once, also with the same batch, while none changes it.
 * Durability: as kv_put(), for all writes together, unless options->sync says otherwise.
 */
KV_MUST_USE
kv_status kv_write(struct kv_db *db,
                   struct kv_batch *batch,
                   const struct kv_write_options_t *options)
KV_NOEXCEPT;

/**
 * Makes room for a value in the log of the database, to be filled in place: by read(), or by a
 * program that puts a message together. It is for values that are long, or come in parts; for
 * short ones kv_put() is as fast.
 *
 * Others can write meanwhile, and wait for nothing. If nobody has when the value is committed, it
 * stays where it was put; else it is copied once, and its room is won back by compaction.
 *
 * @param db           The database.
 * @param key          The key. NULL is KV_EMPTY_KEY if key_len is 0, else KV_NULL_ARGUMENT.
 * @param key_len      Its length in bytes, 1 to KV_MAX_KEY_LEN.
 * @param value_len    The value's length in bytes; with key_len at most KV_MAX_VALUE_LEN - 16.
 * @param options      What the write depends on and what comes with it, looked at when it is
 *   committed, but for skip_if_equal, which must be 0; NULL is as kv_put().
 * @param reservation  Out: the reservation. Not NULL.
 * @param value        Out: where the value goes, value_len bytes at no particular alignment,
 *   whatever is in them. Never set to NULL. Not NULL.
 * @return
 *   - KV_OK: both outputs are set. For others nothing has changed.
 *   - KV_NULL_ARGUMENT, KV_EMPTY_KEY, KV_KEY_TOO_LONG, KV_VALUE_TOO_LONG: mend the call.
 *   - KV_INVALID_ARGUMENT: db is no handle, or a member of options is no choice; the message
 *     names it.
 *   - KV_UNSUPPORTED: options has a member that is newer than this libkv.
 *   - KV_CLOSED, KV_FORKED: db cannot be used any more, or not in this process.
 *   - KV_NO_SPACE, KV_OUT_OF_MEMORY, KV_TOO_MANY_OPEN, KV_PERMISSION_DENIED: there is no room
 *     now; try again when there is.
 *   - KV_IO, KV_READ_ONLY: the database refuses writes; the message says why.
 *   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
 *
 * Ownership: the caller ends the reservation with kv_put_commit() or kv_put_abort(). The room is
 *   the caller's to write until then, and must not be touched afterwards, nor freed. kv_close()
 *   aborts it: the room stays writable until kv_put_abort(), and nothing comes of it.
 * Threads: any number at once. The reservation belongs to one thread at a time.
 * Durability: none before kv_put_commit().
 */
KV_MUST_USE
kv_status kv_put_reserve(struct kv_db *db,
                         const void *key,
                         size_t key_len,
                         size_t value_len,
                         const struct kv_write_options_t *options,
                         struct kv_reservation **reservation,
                         void **value)
KV_NOEXCEPT;

/**
 * Stores the value that was put into a reservation, if the key is as its options say. The
 * reservation is over, whatever is answered.
 *
 * @param reservation  The reservation.
 * @param version      Out: the key's version now; or NULL.
 * @return
 *   - KV_OK: every later read finds the value. *version is set.
 *   - KV_EXISTS: the key is there, against if_absent; nothing was written.
 *   - KV_VERSION_MISMATCH: the key has another version than if_version, or is not there; nothing
 *     was written.
 *   - KV_NULL_ARGUMENT, KV_INVALID_ARGUMENT: mend the call.
 *   - KV_CLOSED, KV_FORKED: the reservation is over, its database was closed, or it is its
 *     parent's.
 *   - KV_BUSY: another thread is using the reservation, which goes on.
 *   - KV_NO_SPACE, KV_INDEX_FULL, KV_OUT_OF_MEMORY, KV_TOO_MANY_OPEN, KV_PERMISSION_DENIED:
 *     nothing was written; it works again when there is room.
 *   - KV_IO: nothing was written, and the database refuses writes now.
 *   - KV_UNKNOWN_OUTCOME: the value may be there or not, and the database refuses writes now;
 *     open it again and read.
 *   - KV_READ_ONLY: the database refuses writes; the message says since when.
 *   - KV_CORRUPT: damage was met; the message says where. Nothing was written.
 *   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
 *
 * Ownership: takes the reservation back. Do not write to its room any more: it is the value now.
 * Threads: any, one at a time.
 * Durability: as kv_put(), unless options->sync said otherwise.
 */
KV_MUST_USE
kv_status kv_put_commit(struct kv_reservation *reservation,
                        uint64_t *version)
KV_NOEXCEPT;

/**
 * Ends a reservation. Nothing was written.
 *
 * @param reservation  The reservation, or NULL, which does nothing.
 *
 * Ownership: takes the reservation and its room back; end it once.
 * Threads: any, one at a time. In a child of fork() it does nothing.
 */
void kv_put_abort(struct kv_reservation *reservation) KV_NOEXCEPT;

/**
 * Takes a snapshot of a database. It costs some microseconds, however large the database is, and
 * nobody waits for it.
 *
 * @param db        The database.
 * @param snapshot  Out: the snapshot. Not NULL.
 * @return
 *   - KV_OK: *snapshot is set. It sees every write that had returned before this was called, none
 *     that is called after this has returned, and of those at the same time some: if it sees one,
 *     then also those that the one came after. It sees no part of a kv_write() without the rest.
 *   - KV_NULL_ARGUMENT: mend the call.
 *   - KV_INVALID_ARGUMENT: db is no handle.
 *   - KV_CLOSED, KV_FORKED: db cannot be used any more, or not in this process.
 *   - KV_OUT_OF_MEMORY, KV_TOO_MANY_OPEN: free some and try again.
 *   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
 *
 * Ownership: the caller frees the snapshot with kv_snapshot_free(), before or after kv_close().
 * Threads: any number at once.
 * Durability: none: a snapshot is gone when the database is closed or the process dies.
 */
KV_MUST_USE kv_status kv_snapshot_new(struct kv_db *db, struct kv_snapshot **snapshot) KV_NOEXCEPT;

/**
 * Frees a snapshot. Iterators that were made of it go on.
 *
 * @param snapshot  The snapshot, or NULL, which does nothing. What is no snapshot, was freed
 *   before or is being read by another thread, is left alone, and kv_error_message() says so.
 *
 * Ownership: takes the snapshot back; free it once.
 * Threads: any, when no other one uses it. In a child of fork() it does nothing: the snapshot is
 *   its parent's.
 */
void kv_snapshot_free(struct kv_snapshot *snapshot) KV_NOEXCEPT;

/**
 * Reads the value that a key had at the time of a snapshot into memory that the caller gets to
 * keep.
 *
 * @param snapshot   The snapshot.
 * @param key        The key. NULL is KV_EMPTY_KEY if key_len is 0, else KV_NULL_ARGUMENT.
 * @param key_len    Its length in bytes, 1 to KV_MAX_KEY_LEN.
 * @param value      Out: the value, in memory of its own that begins at a multiple of 16 bytes;
 *   never set to NULL, also if its length is 0. Not NULL.
 * @param value_len  Out: its length in bytes, 0 included. Not NULL.
 * @return
 *   - KV_OK: both outputs are set.
 *   - KV_NOT_FOUND: the key was not there.
 *   - KV_NULL_ARGUMENT, KV_EMPTY_KEY, KV_KEY_TOO_LONG: mend the call.
 *   - KV_INVALID_ARGUMENT: snapshot is no handle.
 *   - KV_CLOSED, KV_FORKED: the snapshot was freed or its database closed, or it cannot be used
 *     in this process.
 *   - KV_BUSY: another thread is freeing the snapshot.
 *   - KV_OUT_OF_MEMORY, KV_TOO_MANY_OPEN, KV_IO: the system refused; try again when it has
 *     room, or report the message.
 *   - KV_CORRUPT: the value on disk is damaged; other keys can be read.
 *   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
 *
 * Ownership: the caller frees the value with kv_free(), an empty one too.
 * Threads: any number at once may read from one snapshot.
 * Durability: the value may be one that is not on the medium yet; see kv_sync().
 */
KV_MUST_USE
kv_status kv_snapshot_get(struct kv_snapshot *snapshot,
                          const void *key,
                          size_t key_len,
                          void **value,
                          size_t *value_len)
KV_NOEXCEPT;

/**
 * Reads the value that a key had at the time of a snapshot into a buffer of the caller's. Nothing
 * is allocated, unless the key was written since.
 *
 * @param snapshot   The snapshot.
 * @param key        The key. NULL is KV_EMPTY_KEY if key_len is 0, else KV_NULL_ARGUMENT.
 * @param key_len    Its length in bytes, 1 to KV_MAX_KEY_LEN.
 * @param buf        Out: the value. It must not overlap the key. NULL if cap is 0, else
 *   KV_NULL_ARGUMENT.
 * @param cap        The buffer's size in bytes.
 * @param value_len  Out: the value's length in bytes, 0 included. Not NULL.
 * @return
 *   - KV_OK: the first *value_len bytes of buf are the value; the rest is as it was.
 *   - KV_NOT_FOUND: the key was not there.
 *   - KV_BUFFER_TOO_SMALL: *value_len is the size needed, and buf is as it was.
 *   - KV_NULL_ARGUMENT, KV_EMPTY_KEY, KV_KEY_TOO_LONG: mend the call.
 *   - KV_INVALID_ARGUMENT: snapshot is no handle, buf and key overlap, or cap is more than any
 *     memory has.
 *   - KV_CLOSED, KV_FORKED: the snapshot was freed or its database closed, or it cannot be used
 *     in this process.
 *   - KV_BUSY: another thread is freeing the snapshot.
 *   - KV_OUT_OF_MEMORY, KV_TOO_MANY_OPEN, KV_IO: the system refused; try again when it has
 *     room, or report the message.
 *   - KV_CORRUPT: the value on disk is damaged; other keys can be read.
 *   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
 *
 * Ownership: the key and the buffer stay the caller's.
 * Threads: any number at once may read from one snapshot, each with a buffer of its own.
 * Durability: the value may be one that is not on the medium yet; see kv_sync().
 */
KV_MUST_USE
kv_status kv_snapshot_get_into(struct kv_snapshot *snapshot,
                               const void *key,
                               size_t key_len,
                               void *buf,
                               size_t cap,
                               size_t *value_len)
KV_NOEXCEPT;

/**
 * Finds out whether a key was there at the time of a snapshot, and how long its value was.
 *
 * @param snapshot   The snapshot.
 * @param key        The key. NULL is KV_EMPTY_KEY if key_len is 0, else KV_NULL_ARGUMENT.
 * @param key_len    Its length in bytes, 1 to KV_MAX_KEY_LEN.
 * @param value_len  Out: the value's length in bytes, 0 included; or NULL.
 * @return
 *   - KV_OK: the key was there, and *value_len is set.
 *   - KV_NOT_FOUND: it was not.
 *   - KV_NULL_ARGUMENT, KV_EMPTY_KEY, KV_KEY_TOO_LONG: mend the call.
 *   - KV_INVALID_ARGUMENT: snapshot is no handle.
 *   - KV_CLOSED, KV_FORKED: the snapshot was freed or its database closed, or it cannot be used
 *     in this process.
 *   - KV_BUSY: another thread is freeing the snapshot.
 *   - KV_OUT_OF_MEMORY, KV_TOO_MANY_OPEN, KV_IO: the system refused; try again when it has
 *     room, or report the message.
 *   - KV_CORRUPT: the record on disk is damaged; other keys can be read.
 *   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
 *
 * Threads: any number at once may read from one snapshot.
 * Durability: the key may be one that is not on the medium yet; see kv_sync().
 */
KV_MUST_USE
kv_status kv_snapshot_exists(struct kv_snapshot *snapshot,
                             const void *key,
                             size_t key_len,
                             size_t *value_len)
KV_NOEXCEPT;

/**
 * Finds the value that a key had at the time of a snapshot and shows it where it lies, without
 * copying it.
 *
 * @param snapshot   The snapshot.
 * @param key        The key. NULL is KV_EMPTY_KEY if key_len is 0, else KV_NULL_ARGUMENT.
 * @param key_len    Its length in bytes, 1 to KV_MAX_KEY_LEN.
 * @param view       Out: the view. Not NULL.
 * @param value      Out: the value's first byte, never set to NULL, also if there is none; at
 *   no particular alignment and not NUL-terminated. Not NULL.
 * @param value_len  Out: the value's length in bytes, 0 included. Not NULL.
 * @return
 *   - KV_OK: all three outputs are set.
 *   - KV_NOT_FOUND: the key was not there.
 *   - KV_NULL_ARGUMENT, KV_EMPTY_KEY, KV_KEY_TOO_LONG: mend the call.
 *   - KV_INVALID_ARGUMENT: snapshot is no handle.
 *   - KV_CLOSED, KV_FORKED: the snapshot was freed or its database closed, or it cannot be used
 *     in this process.
 *   - KV_BUSY: another thread is freeing the snapshot.
 *   - KV_OUT_OF_MEMORY, KV_TOO_MANY_OPEN, KV_IO: the system refused; try again when it has
 *     room, or report the message.
 *   - KV_CORRUPT: the value on disk is damaged; other keys can be read.
 *   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
 *
 * Ownership: the caller releases the view with kv_view_release(), before or after the snapshot is
 *   freed and the database closed. The value belongs to the view.
 * Threads: any number at once may read from one snapshot. The view belongs to one thread at a
 *   time; its bytes may be read by many.
 * Durability: the value may be one that is not on the medium yet; see kv_sync().
 */
KV_MUST_USE
kv_status kv_snapshot_view_get(struct kv_snapshot *snapshot,
                               const void *key,
                               size_t key_len,
                               struct kv_view **view,
                               const void **value,
                               size_t *value_len)
KV_NOEXCEPT;

/**
 * Makes an iterator, which stands before the first key.
 *
 * @param db          The database.
 * @param snapshot    What it walks over: a snapshot of db; or NULL: the database as it is now.
 * @param prefix      Only keys that begin with these bytes are shown. NULL if prefix_len is 0,
 *   else KV_NULL_ARGUMENT. Keys are in no order on disk, so that all of them are looked at,
 *   however few are shown.
 * @param prefix_len  Their number; 0: all keys are shown.
 * @param iter        Out: the iterator. Not NULL.
 * @return
 *   - KV_OK: *iter is set.
 *   - KV_NULL_ARGUMENT, KV_KEY_TOO_LONG (the prefix is longer than any key): mend the call.
 *   - KV_INVALID_ARGUMENT: db or snapshot is no handle, or the snapshot is of another database.
 *   - KV_CLOSED, KV_FORKED: db or snapshot cannot be used any more, or not in this process.
 *   - KV_BUSY: another thread is freeing the snapshot.
 *   - KV_OUT_OF_MEMORY, KV_TOO_MANY_OPEN: free some and try again.
 *   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
 *
 * Ownership: the caller frees the iterator with kv_iter_free(), before or after kv_close(). The
 *   snapshot stays the caller's, and may be freed before the iterator.
 * Threads: any number at once. The iterator belongs to one thread at a time.
 * Durability: none: an iterator is gone when the database is closed or the process dies.
 */
KV_MUST_USE
kv_status kv_iter_new(struct kv_db *db,
                      struct kv_snapshot *snapshot,
                      const void *prefix,
                      size_t prefix_len,
                      struct kv_iter **iter)
KV_NOEXCEPT;

/**
 * Goes to the next key and shows it and its value where they lie, without copying them. Each is
 * verified as by kv_get().
 *
 * @param iter   The iterator.
 * @param key    Out: the key; or NULL.
 * @param value  Out: the value, whose first byte is never NULL, also if it has none; or NULL.
 *   Neither is at any particular alignment or NUL-terminated.
 * @return
 *   - KV_OK: there is one, and the outputs are set.
 *   - KV_NOT_FOUND: there is none: that was all. It stays so.
 *   - KV_INVALID_ARGUMENT: iter is no handle.
 *   - KV_NULL_ARGUMENT: iter is NULL.
 *   - KV_CLOSED, KV_FORKED: the iterator was freed or its database closed, or it cannot be used
 *     in this process.
 *   - KV_BUSY: another thread is using the iterator.
 *   - KV_CORRUPT: a record is damaged; the message says where, in which file. The next call goes
 *     on behind it, if it can be told where the next record begins; if not, as the message then
 *     says, the rest of this file of the log is left out, and the next call goes on with the next
 *     one.
 *   - KV_OUT_OF_MEMORY, KV_TOO_MANY_OPEN, KV_IO: the system refused; the next call tries again,
 *     and nothing is left out.
 *   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
 *
 * Ownership: key and value belong to the iterator: read them until the next call with it or
 *   kv_iter_free(), also after kv_close(); never write or free them.
 * Threads: any, one at a time.
 * Durability: keys may be some that are not on the medium yet; see kv_sync().
 */
KV_MUST_USE
kv_status kv_iter_next(struct kv_iter *iter,
                       struct kv_slice_t *key,
                       struct kv_slice_t *value)
KV_NOEXCEPT;

/**
 * Shows the key that an iterator is at once more.
 *
 * @param iter     The iterator.
 * @param key      Out: the key. Not NULL.
 * @param key_len  Out: its length in bytes. Not NULL.
 * @return
 *   - KV_OK: both outputs are set.
 *   - KV_NOT_FOUND: it is at none: before the first, behind the last, or kv_iter_next() failed.
 *   - KV_NULL_ARGUMENT: mend the call.
 *   - KV_INVALID_ARGUMENT: iter is no handle.
 *   - KV_CLOSED, KV_FORKED: the iterator was freed or its database closed, or it cannot be used
 *     in this process.
 *   - KV_BUSY: another thread is using the iterator.
 *   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
 *
 * Ownership: the key belongs to the iterator, as for kv_iter_next().
 * Threads: any, one at a time.
 */
KV_MUST_USE
kv_status kv_iter_key(struct kv_iter *iter,
                      const void **key,
                      size_t *key_len)
KV_NOEXCEPT;

/**
 * Shows the value that an iterator is at once more.
 *
 * @param iter       The iterator.
 * @param value      Out: the value, never set to NULL. Not NULL.
 * @param value_len  Out: its length in bytes, 0 included. Not NULL.
 * @return
 *   - KV_OK: both outputs are set.
 *   - KV_NOT_FOUND: it is at none: before the first, behind the last, or kv_iter_next() failed.
 *   - KV_NULL_ARGUMENT: mend the call.
 *   - KV_INVALID_ARGUMENT: iter is no handle.
 *   - KV_CLOSED, KV_FORKED: the iterator was freed or its database closed, or it cannot be used
 *     in this process.
 *   - KV_BUSY: another thread is using the iterator.
 *   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
 *
 * Ownership: the value belongs to the iterator, as for kv_iter_next().
 * Threads: any, one at a time.
 */
KV_MUST_USE
kv_status kv_iter_value(struct kv_iter *iter,
                        const void **value,
                        size_t *value_len)
KV_NOEXCEPT;

/**
 * Frees an iterator. What it showed last cannot be read any more.
 *
 * @param iter  The iterator, or NULL, which does nothing. What is no iterator, was freed before
 *   or is in use by another thread, is left alone, and kv_error_message() says so.
 *
 * Ownership: takes the iterator back; free it once.
 * Threads: any, one at a time. In a child of fork() it does nothing: the iterator is its parent's.
 */
void kv_iter_free(struct kv_iter *iter) KV_NOEXCEPT;

/**
 * Counts the keys of a database. It is known at once. A key whose value has expired counts until
 * libkv has removed it.
 *
 * @param db     The database.
 * @param count  Out: how many keys there are. Not NULL.
 * @return
 *   - KV_OK: *count is set.
 *   - KV_NULL_ARGUMENT: mend the call.
 *   - KV_INVALID_ARGUMENT: db is no handle.
 *   - KV_CLOSED, KV_FORKED: db cannot be used any more, or not in this process.
 *   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
 *
 * Threads: any number at once. While others write it is a number between those before and after.
 */
KV_MUST_USE kv_status kv_count(struct kv_db *db, uint64_t *count) KV_NOEXCEPT;

/**
 * Tells about how many bytes the keys and values of a database take on disk, with what libkv adds
 * to each, and without what compaction would remove. It is known at once.
 *
 * @param db    The database.
 * @param live  Out: how many bytes. Not NULL.
 * @return
 *   - KV_OK: *live is set.
 *   - KV_NULL_ARGUMENT: mend the call.
 *   - KV_INVALID_ARGUMENT: db is no handle.
 *   - KV_CLOSED, KV_FORKED: db cannot be used any more, or not in this process.
 *   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
 *
 * Threads: any number at once.
 */
KV_MUST_USE kv_status kv_approximate_bytes(struct kv_db *db, uint64_t *live) KV_NOEXCEPT;

/**
 * Rewrites the database until it holds no value that was replaced or deleted, and waits for it.
 * The database does this by itself, when there is too much garbage and not to the last byte,
 * unless the option "compaction" is "manual". It needs room for about one segment more meanwhile.
 *
 * @param db  The database.
 * @return
 *   - KV_OK: what was garbage when this was called is gone.
 *   - KV_CANCELLED: kv_compact_cancel() or kv_close() ended it. What was done stays done.
 *   - KV_BUSY: this is called from a progress function of db.
 *   - KV_NULL_ARGUMENT, KV_INVALID_ARGUMENT: db is no handle.
 *   - KV_CLOSED, KV_FORKED: db cannot be used any more, or not in this process.
 *   - KV_READ_ONLY: the database refuses writes; the message says since when.
 *   - KV_NO_SPACE, KV_OUT_OF_MEMORY, KV_TOO_MANY_OPEN: nothing is lost; try again when the
 *     system has room.
 *   - KV_PERMISSION_DENIED: nothing is lost; try again when it is permitted.
 *   - KV_IO: nothing is lost; the message says what failed, and the database refuses writes now.
 *   - KV_CORRUPT: a record is damaged; it is left where it is, and the message says where.
 *   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
 *
 * Threads: any number at once; others read and write meanwhile. kv_close() ends it.
 * Durability: no acknowledged write is lost, whenever the process or the power fails.
 */
KV_MUST_USE kv_status kv_compact(struct kv_db *db) KV_NOEXCEPT;

/**
 * Does what kv_compact() does, and tells a function now and then how far it is.
 *
 * @param db        The database.
 * @param progress  The function, or NULL for none.
 * @param context   Passed to the function.
 * @return
 *   - KV_OK: what was garbage when this was called is gone.
 *   - KV_CANCELLED: the function, kv_compact_cancel() or kv_close() ended it. What was done
 *     stays done.
 *   - KV_BUSY: this is called from a progress function of db.
 *   - KV_NULL_ARGUMENT, KV_INVALID_ARGUMENT: db is no handle.
 *   - KV_CLOSED, KV_FORKED: db cannot be used any more, or not in this process.
 *   - KV_READ_ONLY: the database refuses writes; the message says since when.
 *   - KV_NO_SPACE, KV_OUT_OF_MEMORY, KV_TOO_MANY_OPEN: nothing is lost; try again when the
 *     system has room.
 *   - KV_PERMISSION_DENIED: nothing is lost; try again when it is permitted.
 *   - KV_IO: nothing is lost; the message says what failed, and the database refuses writes now.
 *   - KV_CORRUPT: a record is damaged; it is left where it is, and the message says where.
 *   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
 *
 * Ownership: the context stays the caller's.
 * Threads: any number at once; others read and write meanwhile. kv_close() ends it.
 * Durability: no acknowledged write is lost, whenever the process or the power fails.
 */
KV_MUST_USE
kv_status kv_compact_with(struct kv_db *db,
                          kv_progress_fn progress,
                          void *context)
KV_NOEXCEPT;

/**
 * Ends every kv_compact() and kv_compact_with() that is under way: they return KV_CANCELLED soon.
 * Those that are called later, and compaction in the background, go on.
 *
 * @param db  The database.
 * @return
 *   - KV_OK: they were told, or there were none.
 *   - KV_NULL_ARGUMENT, KV_INVALID_ARGUMENT: db is no handle.
 *   - KV_CLOSED, KV_FORKED: db cannot be used any more, or not in this process.
 *   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
 *
 * Threads: any number at once.
 * Durability: nothing is lost. What was compacted stays compacted.
 */
KV_MUST_USE kv_status kv_compact_cancel(struct kv_db *db) KV_NOEXCEPT;

/**
 * Keeps the database from compacting by itself until kv_compaction_resume(), or until it is
 * closed. A compaction that it is in the middle of is given up. Pausing twice is as pausing
 * once. Garbage grows meanwhile, and kv_compact() works as ever.
 *
 * @param db  The database.
 * @return
 *   - KV_OK: it does not compact by itself any more.
 *   - KV_NULL_ARGUMENT, KV_INVALID_ARGUMENT: db is no handle.
 *   - KV_CLOSED, KV_FORKED: db cannot be used any more, or not in this process.
 *   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
 *
 * Threads: any number at once.
 * Durability: nothing is lost.
 */
KV_MUST_USE kv_status kv_compaction_pause(struct kv_db *db) KV_NOEXCEPT;

/**
 * Lets the database compact by itself again, however often it was paused.
 *
 * @param db  The database.
 * @return
 *   - KV_OK: it compacts when there is too much garbage.
 *   - KV_NULL_ARGUMENT, KV_INVALID_ARGUMENT: db is no handle.
 *   - KV_CLOSED, KV_FORKED: db cannot be used any more, or not in this process.
 *   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
 *
 * Threads: any number at once.
 * Durability: nothing is lost.
 */
KV_MUST_USE kv_status kv_compaction_resume(struct kv_db *db) KV_NOEXCEPT;

/**
 * Makes a directory a backup of the database: another database, which can be opened, holds what
 * this one held at one moment, and is on the medium when this returns. Others read, write and
 * compact meanwhile.
 *
 * Complete segments are not copied but linked, where dir is on the same file system: the backup
 * takes little room and time then, and shares with the database what neither of them ever
 * changes. Across file systems they are copied. The rest of the log, about a segment, always is.
 * What compaction removes meanwhile takes room until the backup has it.
 *
 * If dir holds an older backup of the same database, the new one takes its place in one step, and
 * of what both have nothing is copied. At each moment, also after a power cut, one of the two is
 * there. (Where a file system cannot exchange two names, as NFS, the older one is called dir.old
 * for a moment.) While it is made, the new one is called dir.partial; what a crash left under
 * that name the next call removes.
 *
 * A backup that was opened and written to is a database of its own and never replaced.
 *
 * @param db   The database.
 * @param dir  The directory, in the bytes of the file system, NUL-terminated: missing, empty, or
 *   an older backup. The directory above it must be there. Not NULL.
 * @return
 *   - KV_OK: the backup is on the medium.
 *   - KV_CANCELLED: kv_close() ended it; dir is as it was.
 *   - KV_NULL_ARGUMENT, KV_INVALID_ARGUMENT: db is no handle, dir is NULL or empty or does not
 *     end in a name, or is the database's own directory, in it or around it.
 *   - KV_UNSUPPORTED: dir is a URL.
 *   - KV_CLOSED, KV_FORKED: db cannot be used any more, or not in this process.
 *   - KV_DOES_NOT_EXIST: the directory in which dir is to be is not there.
 *   - KV_NOT_A_DIRECTORY, KV_NOT_A_DATABASE: dir is something else, such as a symbolic link, or
 *     holds other files; it is not touched.
 *   - KV_ALREADY_EXISTS: dir holds another database, or a backup that was written to since; or
 *     dir.partial is in the way, which no backup has left. Nothing is touched.
 *   - KV_ALREADY_OPEN, KV_LOCKED: the older backup is open in this process or in another one, or
 *     a backup is being made there just now.
 *   - KV_NEWER_FORMAT: dir was written by a newer libkv; it is not touched.
 *   - KV_READ_ONLY: the database refuses writes, so that what is on its medium is not known; the
 *     message says since when.
 *   - KV_NO_SPACE, KV_OUT_OF_MEMORY, KV_TOO_MANY_OPEN, KV_PERMISSION_DENIED: dir is as it was;
 *     try again when the system has room, or permits it.
 *   - KV_IO: the message says what failed. dir is the old backup or the new one.
 *   - KV_CORRUPT: damage was met, in the database or in the older backup; the message says where.
 *     dir is as it was.
 *   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
 *
 * Ownership: dir stays the caller's.
 * Threads: any number at once, each with a dir of its own. kv_close() ends it.
 * Durability: everything that was acknowledged before the call is in the backup on KV_OK, and the
 *   backup survives a power cut, whatever the sync option is.
 */
KV_MUST_USE kv_status kv_backup(struct kv_db *db, const char *dir) KV_NOEXCEPT;

/**
 * Does what kv_backup() does, and tells a function now and then how far it is.
 *
 * @param db        The database.
 * @param dir       The directory, as for kv_backup(). Not NULL.
 * @param progress  The function, or NULL for none.
 * @param context   Passed to the function.
 * @return
 *   - KV_OK: the backup is on the medium.
 *   - KV_CANCELLED: the function or kv_close() ended it; dir is as it was, and nothing is left of
 *     the new backup.
 *   - KV_NULL_ARGUMENT, KV_INVALID_ARGUMENT: db is no handle, dir is NULL or empty or does not
 *     end in a name, or is the database's own directory, in it or around it.
 *   - KV_UNSUPPORTED: dir is a URL.
 *   - KV_CLOSED, KV_FORKED: db cannot be used any more, or not in this process.
 *   - KV_DOES_NOT_EXIST: the directory in which dir is to be is not there.
 *   - KV_NOT_A_DIRECTORY, KV_NOT_A_DATABASE: dir is something else, such as a symbolic link, or
 *     holds other files; it is not touched.
 *   - KV_ALREADY_EXISTS: dir holds another database, or a backup that was written to since; or
 *     dir.partial is in the way, which no backup has left. Nothing is touched.
 *   - KV_ALREADY_OPEN, KV_LOCKED: the older backup is open in this process or in another one, or
 *     a backup is being made there just now.
 *   - KV_NEWER_FORMAT: dir was written by a newer libkv; it is not touched.
 *   - KV_READ_ONLY: the database refuses writes, so that what is on its medium is not known; the
 *     message says since when.
 *   - KV_NO_SPACE, KV_OUT_OF_MEMORY, KV_TOO_MANY_OPEN, KV_PERMISSION_DENIED: dir is as it was;
 *     try again when the system has room, or permits it.
 *   - KV_IO: the message says what failed. dir is the old backup or the new one.
 *   - KV_CORRUPT: damage was met, in the database or in the older backup; the message says where.
 *     dir is as it was.
 *   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
 *
 * Ownership: dir and the context stay the caller's.
 * Threads: any number at once, each with a dir of its own. kv_close() ends it.
 * Durability: as kv_backup(). What the function writes is not in the backup, as a rule.
 */
KV_MUST_USE
kv_status kv_backup_with(struct kv_db *db,
                         const char *dir,
                         kv_progress_fn progress,
                         void *context)
KV_NOEXCEPT;

/**
 * Makes a directory a database that holds what a backup holds, after all of the backup was read
 * and every checksum verified. The backup stays as it is; complete segments are linked where both
 * are on one file system, and copied elsewhere. It works as well for a database that was closed,
 * or left by a crash.
 *
 * @param from  The backup, which nobody has open. Not NULL.
 * @param to    The directory, which is missing or empty. Not NULL.
 * @return  Unless it is KV_OK, to is as it was.
 *   - KV_OK: to can be opened, and is on the medium.
 *   - KV_NULL_ARGUMENT, KV_INVALID_ARGUMENT: from or to is NULL or empty, or to does not end in a
 *     name, or is from, in it or around it.
 *   - KV_UNSUPPORTED: from or to is a URL.
 *   - KV_DOES_NOT_EXIST: from is not there, or the directory in which to is to be.
 *   - KV_NOT_A_DIRECTORY, KV_NOT_A_DATABASE: from is something else, or to is no directory.
 *   - KV_ALREADY_EXISTS: to is not empty; or to.partial is in the way, which no earlier call has
 *     left.
 *   - KV_ALREADY_OPEN, KV_LOCKED: from is open in this process or in another one.
 *   - KV_FORKED: the parent of this process had opened databases before fork().
 *   - KV_NEWER_FORMAT: restore it with a newer libkv.
 *   - KV_NO_SPACE, KV_OUT_OF_MEMORY, KV_TOO_MANY_OPEN, KV_PERMISSION_DENIED, KV_IO: the system
 *     refused; the message says what.
 *   - KV_CORRUPT: the backup is damaged; the message names the file and the offset.
 *   - KV_INTERNAL: a bug in libkv; report the message.
 *
 * Ownership: from and to stay the caller's.
 * Threads: any.
 * Durability: the database survives a power cut on KV_OK.
 */
KV_MUST_USE kv_status kv_restore(const char *from, const char *to) KV_NOEXCEPT;

/**
 * Does what kv_restore() does, and tells a function now and then how far it is.
 *
 * @param from      The backup, which nobody has open. Not NULL.
 * @param to        The directory, which is missing or empty. Not NULL.
 * @param progress  The function, or NULL for none.
 * @param context   Passed to the function.
 * @return  Unless it is KV_OK, to is as it was.
 *   - KV_OK: to can be opened, and is on the medium.
 *   - KV_CANCELLED: the function ended it, and nothing is left of what it had brought.
 *   - KV_NULL_ARGUMENT, KV_INVALID_ARGUMENT: from or to is NULL or empty, or to does not end in a
 *     name, or is from, in it or around it.
 *   - KV_UNSUPPORTED: from or to is a URL.
 *   - KV_DOES_NOT_EXIST: from is not there, or the directory in which to is to be.
 *   - KV_NOT_A_DIRECTORY, KV_NOT_A_DATABASE: from is something else, or to is no directory.
 *   - KV_ALREADY_EXISTS: to is not empty; or to.partial is in the way, which no earlier call has
 *     left.
 *   - KV_ALREADY_OPEN, KV_LOCKED: from is open in this process or in another one.
 *   - KV_FORKED: the parent of this process had opened databases before fork().
 *   - KV_NEWER_FORMAT: restore it with a newer libkv.
 *   - KV_NO_SPACE, KV_OUT_OF_MEMORY, KV_TOO_MANY_OPEN, KV_PERMISSION_DENIED, KV_IO: the system
 *     refused; the message says what.
 *   - KV_CORRUPT: the backup is damaged; the message names the file and the offset.
 *   - KV_INTERNAL: a bug in libkv; report the message.
 *
 * Ownership: from, to and the context stay the caller's.
 * Threads: any.
 * Durability: the database survives a power cut on KV_OK.
 */
KV_MUST_USE
kv_status kv_restore_with(const char *from,
                          const char *to,
                          kv_progress_fn progress,
                          void *context)
KV_NOEXCEPT;

/**
 * Verifies a database: every checksum, every structure, and each against the others. That is the
 * manifest, the segments with all their records, batches and seals, the order of writes, hints,
 * and the checkpoint of the index as the next open would believe it. It goes on behind whatever it
 * finds, and works as well where kv_open() does not. Not one byte is changed.
 *
 * If nobody has the database open, nobody can open it until this returns: kv_open() says KV_LOCKED
 * then. If somebody has, also this process, it is read beside them, without any lock, and as far
 * as it is on the medium; the report says so. The checkpoint and the order of writes across
 * segments are left out then.
 *
 * @param path    The directory, in the bytes of the file system, NUL-terminated. Not NULL.
 * @param form    KV_REPORT_TEXT or KV_REPORT_JSON.
 * @param report  Out: what was found, NUL-terminated, in UTF-8; or NULL for none.
 * @return
 *   - KV_OK: nothing is damaged. *report, which may have notes and warnings, is set.
 *   - KV_DAMAGED: there is damage; *report says where.
 *   - KV_NULL_ARGUMENT, KV_INVALID_ARGUMENT: path is NULL or empty, or form is none of the two.
 *   - KV_UNSUPPORTED: path is a URL.
 *   - KV_DOES_NOT_EXIST: there is no directory, or no database in it.
 *   - KV_NOT_A_DIRECTORY, KV_NOT_A_DATABASE: path is something else.
 *   - KV_NEWER_FORMAT: verify it with a newer libkv.
 *   - KV_FORKED: the parent of this process had opened databases before fork().
 *   - KV_OUT_OF_MEMORY, KV_TOO_MANY_OPEN, KV_PERMISSION_DENIED, KV_IO: the system refused; the
 *     message says what. A file that cannot be read is no such failure but damage.
 *   - KV_INTERNAL: a bug in libkv; report the message.
 *
 * Ownership: path stays the caller's; the caller frees the report with kv_free().
 * Threads: any number at once.
 * Durability: nothing is written, not even to the file LOCK.
 */
KV_MUST_USE kv_status kv_verify(const char *path, int32_t form, char **report) KV_NOEXCEPT;

/**
 * Does what kv_verify() does, tells a function of each problem when it is found, and another now
 * and then how far it is. The report keeps the first 10,000 problems, the function hears of all.
 *
 * @param path      The directory, as for kv_verify(). Not NULL.
 * @param form      KV_REPORT_TEXT or KV_REPORT_JSON.
 * @param problem   The function that is told of problems, or NULL for none.
 * @param progress  The function that is told how far it is, or NULL for none.
 * @param context   Passed to both functions.
 * @param report    Out: what was found, NUL-terminated, in UTF-8; or NULL for none.
 * @return
 *   - KV_OK: nothing is damaged. *report, which may have notes and warnings, is set.
 *   - KV_DAMAGED: there is damage; *report says where.
 *   - KV_CANCELLED: one of the functions ended it. *report is not set.
 *   - KV_NULL_ARGUMENT, KV_INVALID_ARGUMENT: path is NULL or empty, or form is none of the two.
 *   - KV_UNSUPPORTED: path is a URL.
 *   - KV_DOES_NOT_EXIST: there is no directory, or no database in it.
 *   - KV_NOT_A_DIRECTORY, KV_NOT_A_DATABASE: path is something else.
 *   - KV_NEWER_FORMAT: verify it with a newer libkv.
 *   - KV_FORKED: the parent of this process had opened databases before fork().
 *   - KV_OUT_OF_MEMORY, KV_TOO_MANY_OPEN, KV_PERMISSION_DENIED, KV_IO: the system refused; the
 *     message says what. A file that cannot be read is no such failure but damage.
 *   - KV_INTERNAL: a bug in libkv; report the message.
 *
 * Ownership: path and the context stay the caller's; the caller frees the report with kv_free().
 * Threads: any number at once.
 * Durability: nothing is written, not even to the file LOCK.
 */
KV_MUST_USE
kv_status kv_verify_with(const char *path,
                         int32_t form,
                         kv_problem_fn problem,
                         kv_progress_fn progress,
                         void *context,
                         char **report)
KV_NOEXCEPT;

/**
 * Makes a new database of all that is whole in one that is damaged, and lists what is lost. The
 * damaged one is only read. It works without a manifest, with segments that are missing, cut,
 * exchanged or overwritten, with damaged headers, and on disks that fail to read parts of files.
 *
 * A record is brought if it is as it was written, wherever it stands and whatever is wrong around
 * it: its checksum depends on the file and the offset, so that no value can pass for a record. Of
 * each key the newest record counts; if that is a deletion, the key is gone. Times to live and
 * versions stay. Of a batch that was written and of which a part is lost, the rest is brought; one
 * whose end cannot be seen, nor anything behind it, is not, for it may never have been written.
 *
 * Where the newest record of a key is lost, an older one is brought if there is one; the report
 * says so where a hint still knows of the newer one (KV_ABOUT_OLDER). A deletion that is lost can
 * bring its key back the same way.
 *
 * to gets its name when all is on the medium. It is called to.partial until then; what a crash
 * left under that name the next call removes. It is another database: a backup of the damaged one
 * is not replaced by its backups.
 *
 * @param from    The damaged database, which nobody has open. Not NULL.
 * @param to      The directory, which is missing or empty. The one above it must be there. Not
 *   NULL.
 * @param form    KV_REPORT_TEXT or KV_REPORT_JSON.
 * @param report  Out: what is lost, NUL-terminated, in UTF-8; or NULL for none.
 * @return
 *   - KV_OK: nothing is lost. to can be opened, and is on the medium; *report is set.
 *   - KV_DAMAGED: the same, but something is lost; *report says what.
 *   - KV_NULL_ARGUMENT, KV_INVALID_ARGUMENT: from or to is NULL or empty, or to does not end in a
 *     name, or is from, in it or around it; or form is none of the two.
 *   - KV_UNSUPPORTED: from or to is a URL.
 *   - KV_DOES_NOT_EXIST: from is not there or has no database in it, or the directory in which to
 *     is to be is not there.
 *   - KV_NOT_A_DIRECTORY, KV_NOT_A_DATABASE: from is something else, or nothing of it can be made
 *     out; or to is no directory.
 *   - KV_ALREADY_EXISTS: to is not empty; or to.partial is in the way, which no earlier call has
 *     left.
 *   - KV_ALREADY_OPEN, KV_LOCKED: from is open in this process or in another one.
 *   - KV_NEWER_FORMAT: salvage it with a newer libkv.
 *   - KV_FORKED: the parent of this process had opened databases before fork().
 *   - KV_NO_SPACE, KV_OUT_OF_MEMORY, KV_TOO_MANY_OPEN, KV_PERMISSION_DENIED, KV_IO: the system
 *     refused; the message says what, and how much room is needed. to is as it was. A part of a
 *     file that cannot be read is no such failure but a loss.
 *   - KV_INTERNAL: a bug in libkv; report the message.
 *
 * Ownership: from and to stay the caller's; the caller frees the report with kv_free().
 * Threads: any.
 * Durability: the new database survives a power cut on KV_OK and KV_DAMAGED. Nothing of from is
 *   written, not even the file LOCK.
 */
KV_MUST_USE
kv_status kv_salvage(const char *from,
                     const char *to,
                     int32_t form,
                     char **report)
KV_NOEXCEPT;

/**
 * Does what kv_salvage() does, tells a function of each loss when it is found, and another now and
 * then how far it is. The report keeps the first 10,000 losses, the function hears of all.
 *
 * @param from      The damaged database, as for kv_salvage(). Not NULL.
 * @param to        The directory, as for kv_salvage(). Not NULL.
 * @param form      KV_REPORT_TEXT or KV_REPORT_JSON.
 * @param problem   The function that is told of losses, or NULL for none.
 * @param progress  The function that is told how far it is, or NULL for none.
 * @param context   Passed to both functions.
 * @param report    Out: what is lost, NUL-terminated, in UTF-8; or NULL for none.
 * @return
 *   - KV_OK: nothing is lost. to can be opened, and is on the medium; *report is set.
 *   - KV_DAMAGED: the same, but something is lost; *report says what.
 *   - KV_CANCELLED: one of the functions ended it. to is as it was; *report is not set.
 *   - KV_NULL_ARGUMENT, KV_INVALID_ARGUMENT: from or to is NULL or empty, or to does not end in a
 *     name, or is from, in it or around it; or form is none of the two.
 *   - KV_UNSUPPORTED: from or to is a URL.
 *   - KV_DOES_NOT_EXIST: from is not there or has no database in it, or the directory in which to
 *     is to be is not there.
 *   - KV_NOT_A_DIRECTORY, KV_NOT_A_DATABASE: from is something else, or nothing of it can be made
 *     out; or to is no directory.
 *   - KV_ALREADY_EXISTS: to is not empty; or to.partial is in the way, which no earlier call has
 *     left.
 *   - KV_ALREADY_OPEN, KV_LOCKED: from is open in this process or in another one.
 *   - KV_NEWER_FORMAT: salvage it with a newer libkv.
 *   - KV_FORKED: the parent of this process had opened databases before fork().
 *   - KV_NO_SPACE, KV_OUT_OF_MEMORY, KV_TOO_MANY_OPEN, KV_PERMISSION_DENIED, KV_IO: the system
 *     refused; the message says what, and how much room is needed. to is as it was. A part of a
 *     file that cannot be read is no such failure but a loss.
 *   - KV_INTERNAL: a bug in libkv; report the message.
 *
 * Ownership: from, to and the context stay the caller's; the caller frees the report with
 *   kv_free().
 * Threads: any.
 * Durability: the new database survives a power cut on KV_OK and KV_DAMAGED. Nothing of from is
 *   written, not even the file LOCK.
 */
KV_MUST_USE
kv_status kv_salvage_with(const char *from,
                          const char *to,
                          int32_t form,
                          kv_problem_fn problem,
                          kv_progress_fn progress,
                          void *context,
                          char **report)
KV_NOEXCEPT;

/**
 * Tells figures of this moment. While others write, they are of slightly different moments.
 *
 * @param db     The database.
 * @param stats  In and out: its size is set by the caller, all else here. Not NULL.
 * @return
 *   - KV_OK: the first stats->size bytes are filled. If the library is older than the header,
 *     that is less than it was.
 *   - KV_NULL_ARGUMENT: mend the call.
 *   - KV_INVALID_ARGUMENT: db is no handle, or the size is less than that of its own member.
 *   - KV_CLOSED, KV_FORKED: db cannot be used any more, or not in this process.
 *   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
 *
 * Ownership: the struct stays the caller's.
 * Threads: any number at once, each with a struct of its own.
 * Durability: the figures are of what is written, on the medium or not.
 */
KV_MUST_USE kv_status kv_stats(struct kv_db *db, struct kv_stats_t *stats) KV_NOEXCEPT;

/**
 * Sets whether databases keep histograms of how long operations take, for kv_latency() and
 * kv_metrics(). They take up to 1.2 MiB. Of short operations one in 32 is timed, at random, which
 * costs puts and gets less than 3 %; so the longest of all may not be among those that were timed.
 *
 * @param options  The options. Not NULL.
 * @param yes      1: they do. 0 (the default): they do not.
 * @return
 *   - KV_OK: the option is set.
 *   - KV_INVALID_ARGUMENT: yes is neither 0 nor 1, or options is no handle.
 *   - KV_NULL_ARGUMENT: mend the call.
 *   - KV_CLOSED, KV_BUSY: options was freed, or another thread is using it.
 *   - KV_INTERNAL: a bug in libkv; report the message.
 *
 * Threads: any, one at a time.
 */
KV_MUST_USE
kv_status kv_options_set_latency_histograms(struct kv_options *options,
                                            int32_t yes)
KV_NOEXCEPT;

/**
 * Tells how long an operation takes, from the call of the function to its end, failures and
 * answers such as KV_NOT_FOUND included.
 *
 * @param db         The database.
 * @param operation  One of the KV_LATENCY_ constants, which count from 0 without a gap.
 * @param latency    In and out: its size is set by the caller, all else here. Not NULL.
 * @return
 *   - KV_OK: the first latency->size bytes are filled. If the option latency_histograms was not
 *     set when db was opened, the count is 0.
 *   - KV_NOT_FOUND: there is no such operation, in this version of libkv.
 *   - KV_NULL_ARGUMENT: mend the call.
 *   - KV_INVALID_ARGUMENT: db is no handle, or the size is less than that of its own member.
 *   - KV_CLOSED, KV_FORKED: db cannot be used any more, or not in this process.
 *   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
 *
 * Ownership: the struct stays the caller's; the name is static.
 * Threads: any number at once, each with a struct of its own.
 * Durability: nothing is read from the medium, or written.
 */
KV_MUST_USE
kv_status kv_latency(struct kv_db *db,
                     int32_t operation,
                     struct kv_latency_t *latency)
KV_NOEXCEPT;

/**
 * Tells all figures of kv_stats() and kv_latency() as text in the format OpenMetrics 1.0, as an
 * HTTP server gives it to Prometheus and others, with the content type
 * "application/openmetrics-text; version=1.0.0; charset=utf-8". The names begin with "libkv_"; a
 * label has the directory of the database. Latencies are there if the option latency_histograms
 * was set when db was opened.
 *
 * @param db    The database.
 * @param text  Out: the text in UTF-8, NUL-terminated, some kilobytes. Not NULL.
 * @return
 *   - KV_OK: *text is set.
 *   - KV_NULL_ARGUMENT: mend the call.
 *   - KV_INVALID_ARGUMENT: db is no handle.
 *   - KV_CLOSED, KV_FORKED: db cannot be used any more, or not in this process.
 *   - KV_OUT_OF_MEMORY: free some and try again.
 *   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
 *
 * Ownership: the caller frees the text with kv_free().
 * Threads: any number at once.
 * Durability: the figures are of what is written, on the medium or not.
 */
KV_MUST_USE kv_status kv_metrics(struct kv_db *db, char **text) KV_NOEXCEPT;

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* KV_H */
