/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static void drain(void)
{
    spn_log_record record;
    while (spn_log_try_pop(&record) == 0)
        continue;
}

static void records_come_in_order(void)
{
    spn_log_record record;
    CHECK_ERR(spn_log_try_pop(&record), -EAGAIN);
    CHECK_ERR(spn_log_pop(0, &record), -EAGAIN);
    CHECK_ERR(spn_log_pop(5, &record), -EAGAIN);
    spni_log(SPN_LOG_WARNING, "first %d", 1);
    spni_log(SPN_LOG_INFO, "second");
    CHECK_EQ(spn_log_pop(-1, &record), 0);
    CHECK_EQ(record.level, SPN_LOG_WARNING);
    CHECK(strcmp(record.text, "first 1") == 0);
    CHECK_EQ(spn_log_pop(0, &record), 0);
    CHECK(strcmp(record.text, "second") == 0);
    CHECK_EQ(record.repeats, 0);
}

static void repeats_are_counted(void)
{
    spn_log_record record;
    for (int i = 0; i < 5; i++)
        spni_log(SPN_LOG_INFO, "again");
    spni_log(SPN_LOG_WARNING, "again");
    CHECK_EQ(spn_log_try_pop(&record), 0);
    CHECK_EQ(record.repeats, 4);
    CHECK_EQ(spn_log_try_pop(&record), 0);
    CHECK_EQ(record.repeats, 0);
    CHECK_ERR(spn_log_try_pop(&record), -EAGAIN);
}

static void levels_are_obeyed(void)
{
    spn_log_record record;
    spni_log(SPN_LOG_DEBUG, "not made");
    CHECK_ERR(spn_log_try_pop(&record), -EAGAIN);
    spn_log_set_level(SPN_LOG_DEBUG);
    spni_log(SPN_LOG_DEBUG, "made");
    CHECK_EQ(spn_log_try_pop(&record), 0);
    CHECK_EQ(record.level, SPN_LOG_DEBUG);
    spn_log_set_level(SPN_LOG_INFO);
}

static void long_records_are_cut(void)
{
    spn_log_record record;
    char text[1000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    spni_log(SPN_LOG_INFO, "%s", text);
    CHECK_EQ(spn_log_try_pop(&record), 0);
    CHECK_EQ(strlen(record.text), sizeof record.text - 1);
}

static void a_full_ring_loses_and_says_so(void)
{
    spn_log_record record;
    int taken = 0, made = 1000;
    for (int i = 0; i < made; i++)
        spni_log(SPN_LOG_INFO, "record %d", i);
    while (spn_log_try_pop(&record) == 0) {
        taken++;
        unsigned long lost = strtoul(record.text, NULL, 10);
        if (lost > 0)
            made -= (int)lost - 1;
    }
    CHECK(taken < 1000);
    CHECK_EQ(taken, made);
}

static void *produce(void *argument)
{
    for (int i = 0; i < 1000; i++)
        spni_log(SPN_LOG_INFO, "%s %d", (const char *)argument, i);
    return NULL;
}

static void *consume(void *argument)
{
    spn_log_record record;
    long *count = argument;
    while (spn_log_pop(-1, &record) == 0) {
        unsigned long lost = strtoul(record.text, NULL, 10);
        *count += (long)(lost > 0 ? lost : 1);
    }
    return NULL;
}

static void stop_wakes_readers_after_the_last_record(void)
{
    pthread_t producers[2], consumers[2];
    long counts[2] = {0};
    spn_log_record record;
    for (int i = 0; i < 2; i++) {
        pthread_create(&consumers[i], NULL, consume, &counts[i]);
        pthread_create(&producers[i], NULL, produce, i ? "one" : "two");
    }
    for (int i = 0; i < 2; i++)
        pthread_join(producers[i], NULL);
    spn_log_stop();
    for (int i = 0; i < 2; i++)
        pthread_join(consumers[i], NULL);
    CHECK_EQ(counts[0] + counts[1], 2000);
    CHECK_ERR(spn_log_pop(-1, &record), SPN_ESTOPPED);
    CHECK_ERR(spn_log_try_pop(&record), -EAGAIN);
}

static void a_child_starts_empty_and_running(void)
{
    int status;
    spni_log(SPN_LOG_INFO, "the parent's");
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        spn_log_record record;
        alarm(PATIENCE_S);
        CHECK_ERR(spn_log_pop(0, &record), -EAGAIN);
        spni_log(SPN_LOG_INFO, "the child's");
        CHECK_EQ(spn_log_pop(-1, &record), 0);
        _exit(0);
    }
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
    drain();
}

static void on_signal(int number)
{
    (void)number;
}

static void *interrupt(void *argument)
{
    /* Until the main thread says that it has been interrupted. */
    struct timespec pause = {.tv_nsec = 1000000};
    while (!__atomic_load_n((int *)argument, __ATOMIC_ACQUIRE)) {
        kill(getpid(), SIGUSR1);
        nanosleep(&pause, NULL);
    }
    return NULL;
}

static void signals_interrupt_a_reader(void)
{
    pthread_t thread;
    spn_log_record record;
    sigset_t set;
    int is_done = 0;
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    CHECK_EQ(sigaction(SIGUSR1, &action, NULL), 0);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    pthread_create(&thread, NULL, interrupt, &is_done);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    CHECK_ERR(spn_log_pop(PATIENCE_MS, &record), -EINTR);
    __atomic_store_n(&is_done, 1, __ATOMIC_RELEASE);
    pthread_join(thread, NULL);
}

int main(void)
{
    records_come_in_order();
    repeats_are_counted();
    levels_are_obeyed();
    long_records_are_cut();
    a_full_ring_loses_and_says_so();
    a_child_starts_empty_and_running();
    signals_interrupt_a_reader();
    stop_wakes_readers_after_the_last_record();
    return 0;
}
