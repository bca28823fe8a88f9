/* Batches: a transfer between two accounts happens as a whole, also if the process is killed. */
#define _XOPEN_SOURCE 700

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "example.h"

enum { TOTAL = 1000, ENOUGH = 500 };

static long read_account(kv_db *db, const char *name)
{
    long amount = 0;
    size_t length = 0;
    must(kv_get_into(db, name, strlen(name), &amount, sizeof amount, &length), "kv_get_into");
    expect(length == sizeof amount, "an account is a number");
    return amount;
}

/* Collects what a transfer changes, and lets all of it happen at once. */
static void transfer(kv_db *db, kv_batch *batch, const char *from, const char *to, long amount)
{
    long left = read_account(db, from) - amount, more = read_account(db, to) + amount;
    must(kv_batch_clear(batch), "kv_batch_clear");
    must(kv_batch_put(batch, from, strlen(from), &left, sizeof left), "kv_batch_put");
    must(kv_batch_put(batch, to, strlen(to), &more, sizeof more), "kv_batch_put");
    must(kv_write(db, batch, NULL), "kv_write");
}

static void open_accounts(kv_db *db, kv_batch *batch)
{
    long all = TOTAL, nothing = 0;
    must(kv_batch_put(batch, "anna", 4, &all, sizeof all), "kv_batch_put");
    must(kv_batch_put(batch, "bert", 4, &nothing, sizeof nothing), "kv_batch_put");
    must(kv_write(db, batch, NULL), "kv_write");
}

/* The richer one gives some to the other, again and again; each transfer is reported. */
static void transfer_for_ever(const char *path, int report_to)
{
    kv_db *db;
    kv_batch *batch;
    must(kv_open(path, NULL, &db), "kv_open");
    must(kv_batch_new(&batch), "kv_batch_new");
    open_accounts(db, batch);
    for (unsigned number = 1;; number++) {
        int is_bert_poorer = read_account(db, "anna") > TOTAL / 2;
        const char *from = is_bert_poorer ? "anna" : "bert";
        const char *to = is_bert_poorer ? "bert" : "anna";
        transfer(db, batch, from, to, 1 + number % 97);
        if (write(report_to, &number, sizeof number) != sizeof number) {
            exit(EXIT_FAILURE);
        }
    }
}

int main(void)
{
    const char *path = temporary_directory();
    unsigned number = 0;
    int channel[2];
    kv_db *db;

    /* fork() comes first: a child cannot use libkv if its parent has a database open. */
    expect(pipe(channel) == 0, "pipe");
    pid_t child = fork();
    expect(child >= 0, "fork");
    if (child == 0) {
        close(channel[0]);
        transfer_for_ever(path, channel[1]);
    }
    close(channel[1]);
    while (number < ENOUGH && read(channel[0], &number, sizeof number) == sizeof number) {
    }
    kill(child, SIGKILL);
    expect(waitpid(child, NULL, 0) == child, "the child was killed");
    close(channel[0]);

    must(kv_open(path, NULL, &db), "kv_open after the kill");
    long anna = read_account(db, "anna"), bert = read_account(db, "bert");
    expect(anna + bert == TOTAL, "nothing was lost or made by half a transfer");
    printf("killed after %u transfers: %ld + %ld = %d\n", number, anna, bert, (int)TOTAL);
    must(kv_close(db), "kv_close");
    must(kv_destroy(path), "kv_destroy");
    return EXIT_SUCCESS;
}
