/* SPDX-License-Identifier: Apache-2.0 */
#include "memory/allocator.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "check.h"

static const size_t sizes[] = {0,    1,     63,        64,       4095,
                               4096, 4097,  1u << 20,  (1u << 20) + 1,
                               3u << 20};

static void fill_all_sizes(spn_allocator *allocator)
{
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        spni_buffer buffer;
        CHECK_EQ(spni_buffer_allocate(allocator, sizes[i], &buffer), 0);
        CHECK_EQ(buffer.size, sizes[i]);
        CHECK(buffer.capacity >= sizes[i]);
        CHECK(buffer.data != NULL);
        CHECK(buffer.allocator == allocator);
        CHECK_EQ(spn_buffers_live(), 1);
        memset(buffer.data, 0xa5, buffer.capacity);
        spni_buffer_release(&buffer);
        CHECK(buffer.data == NULL);
        spni_buffer_release(&buffer);
        CHECK_EQ(spn_buffers_live(), 0);
    }
}

static void malloc_serves_all_sizes(void)
{
    spn_allocator *allocator;
    CHECK_EQ(spn_allocator_new_malloc(&allocator), 0);
    fill_all_sizes(allocator);
    spn_allocator_unref(allocator);
}

static void the_last_large_buffers_are_reused(void)
{
    spn_allocator *allocator;
    spni_buffer buffers[6], other;
    CHECK_EQ(spn_allocator_new_malloc(&allocator), 0);
    CHECK_EQ(spni_buffer_allocate(allocator, 1u << 20, &buffers[0]), 0);
    void *data = buffers[0].data;
    spni_buffer_release(&buffers[0]);
    CHECK_EQ(spni_buffer_allocate(allocator, 1u << 19, &other), 0);
    CHECK(other.data != data);
    CHECK_EQ(spni_buffer_allocate(allocator, 1u << 20, &buffers[0]), 0);
    CHECK(buffers[0].data == data);
    spni_buffer_release(&buffers[0]);
    spni_buffer_release(&other);
    for (size_t size = 1u << 16; size <= 1u << 23; size *= 2) {
        for (int i = 0; i < 6; i++) {
            CHECK_EQ(spni_buffer_allocate(allocator, size, &buffers[i]), 0);
            memset(buffers[i].data, i, size);
        }
        for (int i = 0; i < 6; i++) {
            CHECK_EQ(((uint8_t *)buffers[i].data)[size - 1], i);
            spni_buffer_release(&buffers[i]);
        }
    }
    spn_allocator_unref(allocator);
    CHECK_EQ(spn_buffers_live(), 0);
}

static void *use(void *argument)
{
    for (int i = 0; i < 2000; i++) {
        spni_buffer buffer;
        size_t size = (size_t)(1 + i % 3) << 16;
        CHECK_EQ(spni_buffer_allocate(argument, size, &buffer), 0);
        uint8_t *bytes = buffer.data;
        bytes[0] = bytes[size - 1] = (uint8_t)i;
        CHECK_EQ(bytes[0], (uint8_t)i);
        spni_buffer_release(&buffer);
    }
    return NULL;
}

static void threads_share_what_is_kept(void)
{
    pthread_t users[4];
    spn_allocator *allocator;
    CHECK_EQ(spn_allocator_new_malloc(&allocator), 0);
    for (int i = 0; i < 4; i++)
        CHECK_EQ(pthread_create(&users[i], NULL, use, allocator), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(users[i], NULL);
    spn_allocator_unref(allocator);
}

static void mmap_serves_all_sizes(void)
{
    spn_allocator *allocator;
    int flags[] = {0, MAP_NORESERVE};
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(spn_allocator_new_mmap(flags[i], i > 0, &allocator), 0);
        fill_all_sizes(allocator);
        spn_allocator_unref(allocator);
    }
}

static void absurd_sizes_are_out_of_memory(void)
{
    spn_allocator *allocators[2];
    size_t absurd[] = {SIZE_MAX, SIZE_MAX - 4096, PTRDIFF_MAX, SIZE_MAX / 4};
    CHECK_EQ(spn_allocator_new_malloc(&allocators[0]), 0);
    CHECK_EQ(spn_allocator_new_mmap(0, true, &allocators[1]), 0);
    for (int i = 0; i < 2; i++) {
        for (int j = 0; j < 4; j++) {
            spni_buffer buffer;
            spn_buffer *owned;
            CHECK_ERR(
                spni_buffer_allocate(allocators[i], absurd[j], &buffer),
                -ENOMEM);
            CHECK(buffer.data == NULL && buffer.allocator == NULL);
            CHECK_ERR(spn_buffer_new(allocators[i], absurd[j], &owned),
                      -ENOMEM);
            CHECK(owned == NULL);
        }
        spn_allocator_unref(allocators[i]);
    }
    CHECK_EQ(spn_buffers_live(), 0);
}

static void fixed_mappings_are_refused(void)
{
    spn_allocator *allocator;
    CHECK_ERR(spn_allocator_new_mmap(MAP_FIXED, false, &allocator), -EINVAL);
    CHECK(allocator == NULL);
}

/* With pages reserved or without, a buffer is usable or refused. */
static void huge_pages_are_given_back_whole(void)
{
    spn_allocator *allocator;
    spni_buffer buffer;
    int is_served = 0;
    CHECK_EQ(spn_allocator_new_mmap(MAP_HUGETLB, false, &allocator), 0);
    for (int i = 0; i < 64; i++) {
        int error = spni_buffer_allocate(allocator, 5000, &buffer);
        if (error == 0) {
            is_served = 1;
            CHECK_EQ(buffer.capacity % (64 * 1024), 0);
            memset(buffer.data, 1, buffer.capacity);
        } else {
            CHECK_ERR(error, -ENOMEM);
            CHECK(!is_served); /* what was given back can be had again */
        }
        spni_buffer_release(&buffer);
    }
    spn_allocator_unref(allocator);
}

static void pages_come_from_a_node(void)
{
    spn_allocator *allocator;
    CHECK_EQ(spn_allocator_new_malloc(&allocator), 0);
    CHECK_ERR(spn_allocator_set_numa_node(allocator, 0), -EINVAL);
    spn_allocator_unref(allocator);
    for (int huge = 0; huge < 2; huge++) {
        CHECK_EQ(spn_allocator_new_mmap(MAP_LOCKED * huge, huge, &allocator),
                 0);
        int error = spn_allocator_set_numa_node(allocator, 0);
        CHECK(error == 0 || error == -EPERM); /* some containers */
        fill_all_sizes(allocator);
        spn_allocator_unref(allocator);
    }
}

static void nodes_that_are_not_there_are_refused(void)
{
    spn_allocator *allocator;
    int nodes[] = {-1, 1023, 1024, INT_MAX};
    CHECK_EQ(spn_allocator_new_mmap(0, false, &allocator), 0);
    if (spn_allocator_set_numa_node(allocator, 0) == 0)
        for (int i = 0; i < 4; i++)
            CHECK_ERR(spn_allocator_set_numa_node(allocator, nodes[i]),
                      -ENODEV);
    spn_allocator_unref(allocator);
}

static void buffers_keep_their_allocator(void)
{
    spn_allocator *allocator;
    spn_buffer *buffer;
    CHECK_EQ(spn_allocator_new_mmap(0, false, &allocator), 0);
    CHECK_EQ(spn_buffer_new(allocator, 10000, &buffer), 0);
    spn_allocator_unref(allocator);
    CHECK_EQ(buffer->size, 10000);
    memset(buffer->data, 1, buffer->size);
    CHECK_EQ(spn_buffers_live(), 1);
    spn_buffer_free(buffer);
    spn_buffer_free(NULL);
    spn_allocator_unref(NULL);
    CHECK_EQ(spn_buffers_live(), 0);
}

static void a_dead_allocator_gives_no_reference(void)
{
    spn_allocator dead = {0};
    spn_allocator *alive;
    CHECK(!spni_allocator_try_ref(&dead));
    CHECK_EQ(spn_allocator_new_malloc(&alive), 0);
    CHECK(spni_allocator_try_ref(alive));
    spn_allocator_unref(alive);
    spn_allocator_unref(alive);
}

int main(void)
{
    malloc_serves_all_sizes();
    the_last_large_buffers_are_reused();
    threads_share_what_is_kept();
    mmap_serves_all_sizes();
    absurd_sizes_are_out_of_memory();
    fixed_mappings_are_refused();
    huge_pages_are_given_back_whole();
    pages_come_from_a_node();
    nodes_that_are_not_there_are_refused();
    buffers_keep_their_allocator();
    a_dead_allocator_gives_no_reference();
    return 0;
}
