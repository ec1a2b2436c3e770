/* SPDX-License-Identifier: Apache-2.0 */
/* Where a stream's packets come from. A reader belongs to its stream, is
 * embedded in the struct of its kind, and is touched on the loop's thread only.
 *
 * When a handler of the reader is called it feeds packets (spead/feed.h) until
 * it has no more or is told to stop, and calls spni_stream_settle last of all:
 * the reader may be gone when that returns. */
#ifndef SPNI_READER_H
#define SPNI_READER_H

#include <stdbool.h>

#include "pyspin.h"

typedef struct spni_reader spni_reader;

typedef struct {
    /* Begin to listen to the loop. 0 or -errno. */
    int (*start)(spni_reader *reader);
    /* The ring is full: leave the loop, keep the rest of the batch. */
    void (*suspend)(spni_reader *reader);
    /* Come back to the loop and feed the rest of the batch. */
    void (*resume)(spni_reader *reader);
    /* The stream is being stopped: feed the rest of the batch, which has been
     * received and is to be counted. */
    void (*drain)(spni_reader *reader);
    /* Leave the loop, close what it owns and free it. */
    void (*destroy)(spni_reader *reader);
    bool is_lossy; /* packets are lost while it is suspended */
} spni_reader_kind;

struct spni_reader {
    const spni_reader_kind *kind;
    spn_stream *stream;
    spni_reader *next; /* the stream's */
    bool is_active;    /* the stream's: started and not suspended */
};

/* Start a reader and give it to the stream. 0; -errno, and it stays the
 * caller's. On a stopped stream: 0, and it is destroyed. Any thread. */
int spni_stream_add_reader(spn_stream *stream, spni_reader *reader);

#endif
