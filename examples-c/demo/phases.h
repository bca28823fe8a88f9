/* The phases of the demo that work on the files: store, check, delete, rewrite, compact. */
#ifndef DEMO_PHASES_H
#define DEMO_PHASES_H

#include "files.h"
#include "report.h"

/* Puts every file, path to contents. Files that cannot be read are counted and left out. */
void store_files(kv_db *db, struct file_list *list);

/* Reads everything back and compares it byte for byte with the files, read from disk again.
 * `rewritten`: they have been through rewrite_files(). Deleted ones must be gone. */
void check_files(kv_db *db, const struct file_list *list, int rewritten);

/* Deletes every third file from the database. */
void delete_files(kv_db *db, struct file_list *list);

/* Gives each file that is left new contents: a header line, then the old contents. */
void rewrite_files(kv_db *db, const struct file_list *list);

/* Compacts, and shows what `directory` occupies before and after. `live_bytes`: of keys and
 * values that are not files' and count as live data too. */
void compact_database(kv_db *db, const struct file_list *list, const char *directory,
                      uint64_t live_bytes);


#endif
