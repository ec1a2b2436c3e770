/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "check.h"
#include "memory/allocator.h"

static spn_allocator *make(spn_threads *threads, size_t max_free,
                           size_t initial, size_t low_water)
{
    spn_allocator *pool;
    CHECK_EQ(spn_allocator_new_pool(threads, 100, 8192, max_free, initial,
                                    low_water, NULL, &pool),
             0);
    CHECK_EQ(spn_allocator_set_warn_on_empty(pool, false), 0);
    return pool;
}

static spn_pool_stats stats_of(spn_allocator *pool)
{
    spn_pool_stats stats;
    CHECK_EQ(spn_allocator_read_pool_stats(pool, &stats), 0);
    return stats;
}

static spni_buffer take(spn_allocator *pool, size_t size)
{
    spni_buffer buffer;
    CHECK_EQ(spni_buffer_allocate(pool, size, &buffer), 0);
    CHECK_EQ(buffer.size, size);
    memset(buffer.data, 0x77, buffer.capacity);
    return buffer;
}

static void await_free(spn_allocator *pool, size_t count)
{
    struct timespec pause = {.tv_nsec = 100000};
    uint64_t deadline_ns = spni_now_ns() + PATIENCE_S * SPNI_SECOND_NS;
    while (stats_of(pool).free < count) {
        CHECK(spni_now_ns() < deadline_ns);
        nanosleep(&pause, NULL);
    }
}

static spn_threads *start(int count)
{
    spn_threads *threads;
    CHECK_EQ(spn_threads_new(count, NULL, 0, &threads), 0);
    return threads;
}

static void bad_arguments_are_refused(void)
{
    spn_allocator *pool;
    CHECK_ERR(spn_allocator_new_pool(NULL, 2, 1, 1, 1, 0, NULL, &pool),
              -EINVAL);
    CHECK_ERR(spn_allocator_new_pool(NULL, 1, 2, 1, 2, 0, NULL, &pool),
              -EINVAL);
    CHECK_ERR(spn_allocator_new_pool(NULL, 1, 2, 2, 2, 1, NULL, &pool),
              -EINVAL);
    spn_threads *threads = start(1);
    CHECK_ERR(spn_allocator_new_pool(threads, 1, 2, 2, 1, 2, NULL, &pool),
              -EINVAL);
    spn_threads_stop(threads);
    CHECK_ERR(spn_allocator_new_pool(threads, 1, 2, 2, 2, 1, NULL, &pool),
              SPN_ESTOPPED);
    spn_threads_unref(threads);
    CHECK_ERR(spn_allocator_new_pool(NULL, 1, SIZE_MAX / 2, 2, 2, 0, NULL,
                                     &pool),
              -ENOMEM);
    CHECK(pool == NULL);
    spn_allocator *other;
    spn_pool_stats stats;
    CHECK_EQ(spn_allocator_new_malloc(&other), 0);
    CHECK_ERR(spn_allocator_set_warn_on_empty(other, true), -EINVAL);
    CHECK_ERR(spn_allocator_read_pool_stats(other, &stats), -EINVAL);
    spn_allocator_unref(other);
}

static void the_newest_free_buffer_is_used_first(void)
{
    spn_allocator *pool = make(NULL, 3, 2, 0);
    spni_buffer one = take(pool, 100), two = take(pool, 8192);
    void *data = one.data;
    spni_buffer_release(&two);
    spni_buffer_release(&one);
    one = take(pool, 4000);
    CHECK(one.data == data);
    CHECK(one.capacity >= 8192);
    spni_buffer_release(&one);
    spn_pool_stats stats = stats_of(pool);
    CHECK_EQ(stats.hits, 3);
    CHECK_EQ(stats.misses, 0);
    CHECK_EQ(stats.free, 2);
    CHECK_EQ(stats.outstanding, 0);
    spn_allocator_unref(pool);
}

static void a_buffer_made_on_a_miss_joins_the_pool(void)
{
    spn_allocator *pool = make(NULL, 2, 1, 0);
    spni_buffer buffers[3];
    for (int i = 0; i < 3; i++)
        buffers[i] = take(pool, 200);
    CHECK_EQ(stats_of(pool).misses, 2);
    CHECK_EQ(stats_of(pool).outstanding, 3);
    for (int i = 0; i < 3; i++)
        spni_buffer_release(&buffers[i]);
    CHECK_EQ(stats_of(pool).free, 2);
    CHECK_EQ(stats_of(pool).outstanding, 0);
    spn_allocator_unref(pool);
}

static void other_sizes_go_to_the_base(void)
{
    spn_allocator *pool = make(NULL, 2, 1, 0);
    spni_buffer small = take(pool, 99), large = take(pool, 8193);
    CHECK_EQ(stats_of(pool).outstanding, 0);
    spn_allocator_unref(pool);
    spni_buffer_release(&small);
    spni_buffer_release(&large);
    CHECK_EQ(spn_buffers_live(), 0);
}

static void tiny_buffers_have_room_for_the_link(void)
{
    spn_allocator *pool;
    CHECK_EQ(spn_allocator_new_pool(NULL, 0, 1, 4, 4, 0, NULL, &pool), 0);
    spni_buffer none = take(pool, 0), one = take(pool, 1);
    spni_buffer_release(&none);
    spni_buffer_release(&one);
    CHECK_EQ(stats_of(pool).free, 4);
    spn_allocator_unref(pool);
}

static void an_empty_pool_warns(void)
{
    spn_log_record record;
    spn_allocator *pool = make(NULL, 1, 0, 0);
    CHECK_EQ(spn_allocator_set_warn_on_empty(pool, true), 0);
    spni_buffer buffer = take(pool, 300);
    CHECK_EQ(spn_log_try_pop(&record), 0);
    CHECK_EQ(record.level, SPN_LOG_WARNING);
    CHECK(strcmp(record.text,
                 "memory pool is empty when allocating 300 bytes") == 0);
    CHECK_EQ(spn_allocator_set_warn_on_empty(pool, false), 0);
    spni_buffer other = take(pool, 300);
    CHECK_ERR(spn_log_try_pop(&record), -EAGAIN);
    spni_buffer_release(&other);
    spni_buffer_release(&buffer);
    spn_allocator_unref(pool);
}

static void buffers_may_outlive_the_pool_and_its_base(void)
{
    spn_allocator *base, *pool, *outer;
    CHECK_EQ(spn_allocator_new_mmap(0, false, &base), 0);
    CHECK_EQ(spn_allocator_new_pool(NULL, 1, 9000, 2, 1, 0, base, &pool), 0);
    CHECK_EQ(spn_allocator_new_pool(NULL, 1, 9000, 2, 2, 0, pool, &outer), 0);
    spn_allocator_unref(base);
    spn_allocator_unref(pool);
    spni_buffer one = take(outer, 9000), two = take(outer, 10000);
    spn_allocator_unref(outer);
    spni_buffer_release(&one);
    spni_buffer_release(&two);
    CHECK_EQ(spn_buffers_live(), 0);
}

enum { MIB = 1 << 20 };

static spn_allocator *make_large(size_t max_free, size_t initial)
{
    spn_allocator *pool;
    CHECK_EQ(spn_allocator_new_pool(NULL, 1, MIB, max_free, initial, 0, NULL,
                                    &pool),
             0);
    CHECK_EQ(spn_allocator_set_warn_on_empty(pool, false), 0);
    return pool;
}

static void the_first_large_buffers_are_of_one_slab(void)
{
    spn_allocator *pool = make_large(3, 3);
    spni_buffer buffers[3];
    for (int i = 0; i < 3; i++) {
        buffers[i] = take(pool, MIB);
        CHECK_EQ((char *)buffers[i].data - (char *)buffers[0].data, i * MIB);
    }
    CHECK_EQ((uintptr_t)buffers[0].data % (2 * MIB), 0);
    for (int i = 0; i < 3; i++)
        spni_buffer_release(&buffers[i]);
    CHECK_EQ(stats_of(pool).hits, 3);
    CHECK_EQ(stats_of(pool).free, 3);
    spn_allocator_unref(pool);
}

/* Whatever the order in which they come back. */
static void buffers_of_the_slab_stay_in_a_full_pool(void)
{
    for (int first = 0; first < 4; first++) {
        spn_allocator *pool = make_large(2, 2);
        spni_buffer buffers[4], again[2];
        for (int i = 0; i < 4; i++)
            buffers[i] = take(pool, MIB);
        void *slab[2] = {buffers[0].data, buffers[1].data};
        for (int i = 0; i < 4; i++)
            spni_buffer_release(&buffers[(first + i) % 4]);
        CHECK_EQ(stats_of(pool).free, 2);
        CHECK_EQ(stats_of(pool).outstanding, 0);
        for (int i = 0; i < 2; i++) {
            again[i] = take(pool, MIB);
            CHECK(again[i].data == slab[0] || again[i].data == slab[1]);
        }
        CHECK(again[0].data != again[1].data);
        CHECK_EQ(stats_of(pool).misses, 2);
        spn_allocator_unref(pool);
        spni_buffer_release(&again[0]);
        spni_buffer_release(&again[1]);
    }
    CHECK_EQ(spn_buffers_live(), 0);
}

static void a_base_gives_the_first_buffers_singly(void)
{
    spn_allocator *base = make_large(3, 3), *pool;
    CHECK_EQ(spn_allocator_new_pool(NULL, 1, MIB, 3, 3, 0, base, &pool), 0);
    CHECK_EQ(stats_of(base).hits, 3);
    spn_allocator_unref(pool);
    CHECK_EQ(stats_of(base).free, 3);
    spn_allocator_unref(base);
}

static void low_water_starts_the_refill(void)
{
    spn_threads *threads = start(1);
    spn_allocator *pool = make(threads, 8, 4, 3);
    spni_buffer buffers[4];
    buffers[0] = take(pool, 200);
    CHECK_EQ(stats_of(pool).refilled, 0);
    for (int i = 1; i < 4; i++)
        buffers[i] = take(pool, 200);
    await_free(pool, 4);
    spn_pool_stats stats = stats_of(pool);
    CHECK(stats.refilled >= 4 - stats.misses);
    for (int i = 0; i < 4; i++)
        spni_buffer_release(&buffers[i]);
    CHECK_EQ(stats_of(pool).free, 8);
    spn_allocator_unref(pool);
    spn_threads_unref(threads);
}

static void many_rapid_allocations_with_refill(void)
{
    spn_threads *threads = start(2);
    spn_allocator *pool = make(threads, 16, 8, 8);
    spni_buffer buffers[100];
    for (int i = 0; i < 100; i++)
        buffers[i] = take(pool, 8192);
    await_free(pool, 8);
    for (int i = 0; i < 100; i++)
        spni_buffer_release(&buffers[i]);
    CHECK_EQ(stats_of(pool).free, 16);
    spn_allocator_unref(pool);
    spn_threads_unref(threads);
}

static void a_pool_may_die_under_its_refill(void)
{
    for (int i = 0; i < 100; i++) {
        spn_threads *threads = start(1);
        spn_allocator *pool = make(threads, 64, 32, 32);
        spni_buffer buffer = take(pool, 200);
        if (i % 2)
            spn_threads_unref(threads);
        if (i % 3 == 0)
            spni_buffer_release(&buffer);
        spn_allocator_unref(pool);
        spni_buffer_release(&buffer);
        if (i % 2 == 0)
            spn_threads_unref(threads);
    }
    CHECK_EQ(spn_buffers_live(), 0);
}

static void a_pool_works_on_after_its_threads_stopped(void)
{
    for (int i = 0; i < 20; i++) {
        spn_threads *threads = start(1);
        spn_allocator *pool = make(threads, 64, 32, 32);
        spni_buffer one = take(pool, 200);
        spn_threads_stop(threads);
        spn_threads_unref(threads);
        spni_buffer two = take(pool, 200);
        spni_buffer_release(&one);
        spni_buffer_release(&two);
        spn_allocator_unref(pool);
    }
}

typedef struct {
    spn_allocator *pool;
    int rounds;
} user;

static void *use(void *argument)
{
    user *self = argument;
    for (int i = 0; i < self->rounds; i++) {
        spni_buffer one = take(self->pool, 8000), two = take(self->pool, 50);
        spni_buffer_release(&one);
        spni_buffer_release(&two);
    }
    return NULL;
}

static void many_threads_share_a_pool(void)
{
    pthread_t users[4];
    spn_threads *threads = start(2);
    spn_allocator *pool = make(threads, 4, 3, 2);
    user self = {pool, 500};
    for (int i = 0; i < 4; i++)
        CHECK_EQ(pthread_create(&users[i], NULL, use, &self), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(users[i], NULL);
    CHECK_EQ(stats_of(pool).outstanding, 0);
    CHECK_EQ(stats_of(pool).hits + stats_of(pool).misses, 2000);
    spn_allocator_unref(pool);
    spn_threads_unref(threads);
    CHECK_EQ(spn_buffers_live(), 0);
}

static void *release_main(void *buffer_void)
{
    spni_buffer_release(buffer_void);
    return NULL;
}

/* Of two buffers, one that finds room in the pool and one that does not: the
 * pool goes with whichever comes back last. */
static void threads_release_the_last_buffers_of_a_dead_pool(void)
{
    for (int i = 0; i < 200; i++) {
        spn_allocator *pool = make(NULL, 1, 1, 0);
        spni_buffer buffers[] = {take(pool, 200), take(pool, 300)};
        pthread_t thread;
        CHECK_EQ(stats_of(pool).outstanding, 2);
        spn_allocator_unref(pool);
        CHECK_EQ(pthread_create(&thread, NULL, release_main, &buffers[0]), 0);
        spni_buffer_release(&buffers[1]);
        CHECK_EQ(pthread_join(thread, NULL), 0);
    }
    CHECK_EQ(spn_buffers_live(), 0);
}

static void use_in_child(spn_allocator *pool, spn_threads *threads,
                         spni_buffer *buffer)
{
    alarm(PATIENCE_S);
    spni_buffer other = take(pool, 200);
    spni_buffer_release(&other);
    spni_buffer_release(buffer);
    spn_allocator_unref(pool);
    spn_threads_unref(threads);
    _exit(0);
}

/* Sanitizers' allocators do not take a fork while another thread allocates. */
static void a_forked_child_may_use_the_pool(void)
{
#if !defined __SANITIZE_ADDRESS__ && !defined __SANITIZE_THREAD__
    spn_threads *threads = start(1);
    spn_allocator *pool = make(threads, 1000, 500, 500);
    for (int i = 0; i < 20; i++) {
        int status;
        spni_buffer buffer = take(pool, 200);
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0)
            use_in_child(pool, threads, &buffer);
        CHECK_EQ(waitpid(child, &status, 0), child);
        CHECK_EQ(status, 0);
        spni_buffer_release(&buffer);
    }
    spn_allocator_unref(pool);
    spn_threads_unref(threads);
#else
    (void)use_in_child;
#endif
}

int main(void)
{
    a_forked_child_may_use_the_pool();
    bad_arguments_are_refused();
    the_newest_free_buffer_is_used_first();
    a_buffer_made_on_a_miss_joins_the_pool();
    other_sizes_go_to_the_base();
    tiny_buffers_have_room_for_the_link();
    an_empty_pool_warns();
    buffers_may_outlive_the_pool_and_its_base();
    the_first_large_buffers_are_of_one_slab();
    buffers_of_the_slab_stay_in_a_full_pool();
    a_base_gives_the_first_buffers_singly();
    low_water_starts_the_refill();
    many_rapid_allocations_with_refill();
    a_pool_may_die_under_its_refill();
    a_pool_works_on_after_its_threads_stopped();
    many_threads_share_a_pool();
    threads_release_the_last_buffers_of_a_dead_pool();
    return 0;
}
