/* SPDX-License-Identifier: Apache-2.0 */
/* Heaps and counters of two ways of receiving the same. */
#ifndef COMPARE_H
#define COMPARE_H

#include <string.h>

#include "check.h"
#include "pyspin.h"

static inline void compare_items(const spn_heap *left, const spn_heap *right)
{
    CHECK_EQ(left->item_count, right->item_count);
    for (size_t i = 0; i < left->item_count; i++) {
        CHECK_EQ(left->items[i].id, right->items[i].id);
        CHECK_EQ(left->items[i].value, right->items[i].value);
        CHECK_EQ(left->items[i].length, right->items[i].length);
        CHECK_EQ(left->items[i].is_immediate, right->items[i].is_immediate);
    }
}

static inline void compare_heaps(const spn_heap *left, const spn_heap *right)
{
    CHECK_EQ(left->cnt, right->cnt);
    CHECK_EQ(left->heap_length, right->heap_length);
    CHECK_EQ(left->received_length, right->received_length);
    CHECK_EQ(left->heap_address_bits, right->heap_address_bits);
    CHECK_EQ(left->is_contiguous, right->is_contiguous);
    CHECK_EQ(left->is_start_of_stream, right->is_start_of_stream);
    CHECK_EQ(left->is_end_of_stream, right->is_end_of_stream);
    compare_items(left, right);
    CHECK_EQ(left->range_count, right->range_count);
    for (size_t i = 0; i < left->range_count; i++) {
        CHECK_EQ(left->ranges[i].begin, right->ranges[i].begin);
        CHECK_EQ(left->ranges[i].end, right->ranges[i].end);
    }
    CHECK_EQ(left->payload_length, right->payload_length);
    CHECK(left->payload_length == 0
          || memcmp(left->payload, right->payload, left->payload_length) == 0);
}

/* `copied` had no payload placed, `placed` may have had. */
static inline void compare_placed_stats(spn_stream_stats copied,
                                        spn_stream_stats placed)
{
    CHECK_EQ(copied.bytes_placed, 0);
    CHECK_EQ(copied.bytes_copied, placed.bytes_copied + placed.bytes_placed);
    copied.bytes_copied = placed.bytes_copied = placed.bytes_placed = 0;
    /* How the kernel cut it into calls, and when the ring was full. */
    copied.calls = placed.calls = 0;
    copied.messages = placed.messages = 0;
    copied.max_batch = placed.max_batch = 0;
    copied.worker_blocked = placed.worker_blocked = 0;
    copied.ring_high_water = placed.ring_high_water = 0;
    CHECK(memcmp(&copied, &placed, sizeof copied) == 0);
}

#endif
