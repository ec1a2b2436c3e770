/* SPDX-License-Identifier: Apache-2.0 */
/* What receiving from memory costs at the least: each payload of the heaps that
 * lie there is copied to its place by memcpy, with full knowledge of what comes,
 * and nobody is told. Prints bytes and seconds as JSON.
 *
 *   memory_copy PAYLOAD HEAP COUNT HEAPS
 *
 * HEAPS buffers are used in turn.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { HEADER = 48 };

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static uint8_t *touched(size_t size)
{
    uint8_t *data = malloc(size);
    if (data == NULL)
        exit(1);
    memset(data, 1, size);
    return data;
}

int main(int argc, char **argv)
{
    if (argc != 5)
        return 2;
    size_t payload = strtoull(argv[1], NULL, 0);
    size_t heap = strtoull(argv[2], NULL, 0);
    size_t count = strtoull(argv[3], NULL, 0);
    size_t heaps = strtoull(argv[4], NULL, 0);
    size_t packets = (heap + payload - 1) / payload;
    const uint8_t *from = touched(count * (heap + packets * HEADER));
    uint8_t *to = touched(heaps * heap);
    double begin = now();
    for (size_t i = 0; i < count; i++)
        for (size_t offset = 0; offset < heap; offset += payload) {
            size_t left = heap - offset;
            size_t length = left < payload ? left : payload;
            memcpy(to + i % heaps * heap + offset, from + HEADER, length);
            from += HEADER + length;
        }
    double wall = now() - begin;
    printf("{\"bytes\": %zu, \"wall\": %.9f, \"last\": %d}\n", count * heap,
           wall, to[heap - 1]);
    return 0;
}
