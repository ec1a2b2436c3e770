/* SPDX-License-Identifier: Apache-2.0 */
/* The library without Python: heaps of one item that lie in memory are received
 * and dropped. Run under callgrind with two counts, the difference is the cost
 * of a packet in instructions.
 *
 *   memory_receive PAYLOAD HEAP COUNT
 */
#include <endian.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "pyspin.h"

enum { HEADER = 48 };

static void store(uint8_t *at, uint64_t value)
{
    value = htobe64(value);
    memcpy(at, &value, 8);
}

static uint64_t immediate(uint64_t id, uint64_t value)
{
    return UINT64_C(1) << 63 | id << 40 | value;
}

static size_t make_packet(uint8_t *at, uint64_t cnt, uint64_t heap,
                          uint64_t offset, uint64_t length)
{
    static const uint8_t start[8] = {0x53, 4, 3, 5, 0, 0, 0, 5};
    memcpy(at, start, 8);
    store(at + 8, immediate(1, cnt));
    store(at + 16, immediate(2, heap));
    store(at + 24, immediate(3, offset));
    store(at + 32, immediate(4, length));
    store(at + 40, UINT64_C(0x1000) << 40);
    memset(at + HEADER, (int)cnt, length);
    return HEADER + length;
}

static uint8_t *make_heaps(uint64_t payload, uint64_t heap, uint64_t count,
                           size_t *length)
{
    uint64_t packets = (heap + payload - 1) / payload;
    uint8_t *data = malloc(count * (heap + packets * HEADER));
    *length = 0;
    for (uint64_t cnt = 1; cnt <= count; cnt++)
        for (uint64_t offset = 0; offset < heap; offset += payload) {
            uint64_t left = heap - offset;
            *length += make_packet(data + *length, cnt, heap, offset,
                                   left < payload ? left : payload);
        }
    return data;
}

static void must(int code, const char *what)
{
    if (code < 0) {
        fprintf(stderr, "%s: %s\n", what, spn_strerror(code));
        exit(1);
    }
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "memory_receive PAYLOAD HEAP COUNT\n");
        return 2;
    }
    uint64_t heap = strtoull(argv[2], NULL, 0);
    size_t length;
    uint8_t *data = make_heaps(strtoull(argv[1], NULL, 0), heap,
                               strtoull(argv[3], NULL, 0), &length);
    spn_threads *threads;
    spn_ring *ring;
    spn_stream *stream;
    spn_allocator *pool;
    spn_stream_config config = {.max_heaps = 4, .contiguous_only = true};
    must(spn_threads_new(1, NULL, 0, &threads), "threads");
    must(spn_ring_new(4, &ring), "ring");
    must(spn_allocator_new_pool(NULL, heap, heap, 16, 16, 0, NULL, &pool),
         "pool");
    must(spn_stream_new(threads, &config, pool, ring, &stream), "stream");
    double start = now();
    must(spn_stream_add_memory_reader(stream, data, length), "reader");
    spn_heap *heaps[4];
    unsigned long received = 0;
    for (int got; (got = spn_ring_pop(ring, -1, heaps, 4)) > 0;)
        for (int i = 0; i < got; i++) {
            spn_heap_unref(heaps[i]);
            received++;
        }
    double seconds = now() - start;
    printf("{\"heaps\": %lu, \"bytes\": %llu, \"wall\": %.6f}\n", received,
           (unsigned long long)(received * heap), seconds);
    spn_stream_unref(stream);
    spn_ring_unref(ring);
    spn_allocator_unref(pool);
    spn_threads_unref(threads);
    free(data);
    return 0;
}
