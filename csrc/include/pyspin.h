/* SPDX-License-Identifier: Apache-2.0 */
/* pyspin: datagram traffic at C speed.
 *
 * The only public header. The comment above each function is its contract:
 * what it does, what it returns, who owns the result, which threads may call.
 *
 * Every function that can fail returns 0 or a count, -errno for an error of the
 * system, or one of the library's own codes from -5001 down. Nothing sets
 * errno, prints, or aborts. Objects come in two kinds: `_new` / `_free` have a
 * sole owner; `_new` / `_ref` / `_unref` are shared, and `_unref(NULL)` is fine.
 * What is not said to be for one thread may be called from any.
 */
#ifndef PYSPIN_H
#define PYSPIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The part between the marks is also what CFFI reads: no directives, no macros,
 * no inline functions. */
/* cffi: begin */

/* ---- errors ------------------------------------------------------------- */

enum {
    SPN_ESTOPPED = -5001, /* the stream, ring, pool or link has been stopped */
    SPN_EFORKED = -5002,  /* used in a child of the process that made it */
    SPN_ENUMBERS = -5003, /* all sequence numbers of a connection are in use */
};

/* Say in words what a negative return code means; a static string. */
const char *spn_strerror(int code);

/* ---- log ---------------------------------------------------------------- */

/* Levels are those of Python's logging module. */
enum {
    SPN_LOG_DEBUG = 10,
    SPN_LOG_INFO = 20,
    SPN_LOG_WARNING = 30,
    SPN_LOG_ERROR = 40,
};

typedef struct {
    int level;
    unsigned repeats; /* how often this record came again, not counting once */
    char text[240];   /* ends with NUL */
} spn_log_record;

/* Take the oldest record. 0, or -EAGAIN when there is none. */
int spn_log_try_pop(spn_log_record *out);

/* Wait for a record, at most timeout_ms (-1: for ever).
 * 0, -EAGAIN when time runs out, -EINTR on a signal, SPN_ESTOPPED after
 * spn_log_stop once the ring is empty. */
int spn_log_pop(int timeout_ms, spn_log_record *out);

/* End the waits in spn_log_pop, for interpreter exit. */
void spn_log_stop(void);

/* Records below this level are not made. The start is SPN_LOG_INFO. */
void spn_log_set_level(int level);

/* ---- threads ------------------------------------------------------------ */

/* A pool of threads, each with an epoll loop of its own. Shared. */
typedef struct spn_threads spn_threads;

/* Start `count` (at least 1) threads, thread i pinned to processor
 * affinity[i % affinity_count] unless affinity_count is 0. A thread that cannot
 * be pinned runs all the same and a warning is logged.
 * 0 and a reference that the caller owns; -EINVAL; -EAGAIN or -ENOMEM when the
 * system has no more threads, descriptors or memory. */
int spn_threads_new(int count, const int *affinity, int affinity_count,
                    spn_threads **out);

/* End the work of all that runs on the pool, and its threads. Idempotent. */
void spn_threads_stop(spn_threads *threads);

/* Stop every pool of this process, for interpreter exit. */
void spn_threads_stop_all(void);

void spn_threads_unref(spn_threads *threads);

int spn_threads_count(const spn_threads *threads);

/* Whether each thread, while sockets of its streams are open and not suspended,
 * looks for datagrams again and again rather than sleep until they come. It
 * then takes a whole processor, also when none come, and no datagram waits for
 * it to wake up or for others to gather. */
void spn_threads_set_spin(spn_threads *threads, bool spin);

/* Pin the calling thread to one processor. 0 or -errno. */
int spn_set_affinity(int processor);

/* ---- memory ------------------------------------------------------------- */

/* Where heap payloads come from: the C library, mmap, or a pool. Shared. */
typedef struct spn_allocator spn_allocator;

/* malloc, every page touched so that the receiving thread meets no fault. The
 * last few buffers of 64 KiB to 4 MiB that came back are kept for reuse. */
int spn_allocator_new_malloc(spn_allocator **out);

/* mmap with MAP_ANONYMOUS | MAP_PRIVATE | MAP_POPULATE | flags. With
 * prefer_huge, MAP_HUGETLB is tried first and after it ordinary pages, which
 * may become transparent huge ones; huge pages are always reserved, so
 * MAP_NORESERVE has no effect on them.
 * -EINVAL for MAP_FIXED, which would lay buffers over other memory. */
int spn_allocator_new_mmap(int flags, bool prefer_huge, spn_allocator **out);

/* Take the pages of an mmap allocator from a memory node while it has room, and
 * from others then. To be called before its first buffer is asked for. -EINVAL
 * if not an mmap allocator; -ENODEV if the machine has no such node; another
 * -errno (as EPERM in some containers) if the process may not choose. */
int spn_allocator_set_numa_node(spn_allocator *mmap, int node);

/* A pool of buffers of `upper` bytes that serves sizes lower..upper; others go
 * to `base`. Holds at most max_free free buffers, `initial` at the start. With
 * `threads`, when fewer than low_water remain a background task refills it to
 * `initial`; without, low_water must be 0. base NULL: malloc, and the first
 * buffers in transparent huge pages if they fill one. The pool goes on without
 * refills when `threads` has been stopped, and in a forked child.
 * -EINVAL unless lower <= upper, initial <= max_free, low_water <= initial;
 * -ENOMEM; SPN_ESTOPPED if `threads` has been stopped; SPN_EFORKED if it is a
 * parent's. */
int spn_allocator_new_pool(spn_threads *threads, size_t lower, size_t upper,
                           size_t max_free, size_t initial, size_t low_water,
                           spn_allocator *base, spn_allocator **out);

void spn_allocator_unref(spn_allocator *allocator);

/* Whether a pool logs a warning when it is empty. -EINVAL if not a pool. */
int spn_allocator_set_warn_on_empty(spn_allocator *pool, bool warn);

typedef struct {
    size_t free;        /* buffers in the pool */
    size_t outstanding; /* buffers of the pool that are in use */
    uint64_t hits;      /* allocations served from the pool */
    uint64_t misses;    /* allocations that found it empty */
    uint64_t refilled;  /* buffers made by the background task */
} spn_pool_stats;

/* -EINVAL if not a pool. */
int spn_allocator_read_pool_stats(spn_allocator *pool, spn_pool_stats *out);

/* A buffer taken from an allocator, which it keeps alive. */
typedef struct {
    void *data;
    size_t size;
} spn_buffer;

/* 0 and a buffer that the caller owns; -ENOMEM. */
int spn_buffer_new(spn_allocator *allocator, size_t size, spn_buffer **out);
void spn_buffer_free(spn_buffer *buffer);

/* Buffers handed out by all allocators and not yet freed. */
size_t spn_buffers_live(void);

enum {
    SPN_MEMCPY_STD = 0,         /* through the caches */
    SPN_MEMCPY_NONTEMPORAL = 1, /* past them */
};

/* The name of the instructions that SPN_MEMCPY_NONTEMPORAL uses on this
 * processor: "avx512", "avx2", "sse2" or "memcpy". */
const char *spn_memcpy_nontemporal_name(void);

/* ---- receiving: heaps --------------------------------------------------- */

/* One item of a heap, in the order of Heap.get_items: addressed ones by
 * address, then immediates by value. Empty addressed ones and NULL are not
 * there; descriptors and stream control are. */
typedef struct {
    uint64_t id;
    uint64_t value; /* immediate: the value; addressed: offset in the payload */
    size_t length;  /* addressed: bytes; immediate: 0 */
    bool is_immediate;
} spn_item;

typedef struct {
    size_t begin;
    size_t end;
} spn_range;

/* A finished heap: read-only, shared. States: *complete* (its length is known
 * and all of it is here), *contiguous* (no gaps as far as is known; delivered
 * as Heap), else *incomplete* (delivered as IncompleteHeap). */
typedef struct {
    uint64_t cnt;
    int64_t heap_length;    /* HEAP_LEN, -1 if no packet told it */
    size_t received_length; /* bytes of payload that arrived */
    size_t payload_length;  /* contiguous: bytes at payload; incomplete: 0 */
    uint8_t *payload;       /* NULL when incomplete or empty */
    const spn_item *items;  /* incomplete: immediates only */
    size_t item_count;
    const spn_range *ranges; /* incomplete and kept: sorted, coalesced */
    size_t range_count;
    uint64_t last_packet_ns; /* CLOCK_MONOTONIC when its last packet was read */
    uint64_t tag;            /* these two are of the stream that it came */
    int bug_compat;          /* through */
    int heap_address_bits;
    bool is_contiguous;
    bool is_start_of_stream;
    bool is_end_of_stream;
} spn_heap;

void spn_heap_ref(spn_heap *heap);
void spn_heap_unref(spn_heap *heap);

/* Unref what lies in a slot, unless NULL, which it becomes. */
void spn_heap_clear(spn_heap **slot);

/* Heaps that exist, in assembly, in rings and with their users. */
size_t spn_heaps_live(void);

/* ---- receiving: the ring ------------------------------------------------ */

/* Between the streams that produce heaps and the threads that consume them.
 * Bounded. A full ring suspends the readers of the streams that feed it, never
 * their thread. Shared. Stopped when its last stream has stopped (or by
 * spn_ring_stop); heaps still in it can then be taken. */
typedef struct spn_ring spn_ring;

int spn_ring_new(size_t capacity, spn_ring **out);
void spn_ring_unref(spn_ring *ring);

/* Stop the ring: producers are refused, waiters wake. Idempotent. */
void spn_ring_stop(spn_ring *ring);

/* Take up to `count` heaps: how many (at least 1), each a reference the caller
 * owns; -EAGAIN when there is none; SPN_ESTOPPED when there never will be;
 * SPN_EFORKED in a forked child. */
int spn_ring_try_pop(spn_ring *ring, spn_heap **heaps, int count);

/* The same, waiting at most timeout_ms (-1: for ever) for the first.
 * -EAGAIN when time runs out; -EINTR on a signal. */
int spn_ring_pop(spn_ring *ring, int timeout_ms, spn_heap **heaps, int count);

/* Give back what was popped and cannot be used now; the references go to the
 * ring, and these heaps come first at the next pop. NULL ones are passed over;
 * all become NULL. Ring full or stopped: the same. */
void spn_ring_give_back(spn_ring *ring, spn_heap **heaps, int count);

/* An eventfd that polls readable exactly while try_pop would not return
 * -EAGAIN, for ever after stop. Made at the first call; lives as long as the
 * ring; not to be read or closed. -errno. */
int spn_ring_fd(spn_ring *ring);

size_t spn_ring_length(spn_ring *ring);

/* ---- receiving: streams ------------------------------------------------- */

typedef struct spn_stream spn_stream;

typedef struct {
    size_t max_heaps;          /* partial heaps live at one time, >= 1 */
    bool contiguous_only;      /* drop incomplete heaps with a warning */
    bool keep_payload_ranges;  /* give incomplete heaps their ranges */
    bool stop_on_stop_item;
    int memcpy_id;             /* SPN_MEMCPY_... */
    uint64_t max_latency_ns;   /* bound of adaptive coalescing, 0: off */
    uint64_t tag;              /* these two are copied to each heap, for */
    int bug_compat;            /* whoever takes it from a shared ring */
} spn_stream_config;

/* All are totals since the stream was made, unless said otherwise. */
typedef struct {
    /* the documented ones */
    uint64_t heaps;
    uint64_t incomplete_heaps_evicted;
    uint64_t incomplete_heaps_flushed;
    uint64_t packets;
    uint64_t worker_blocked; /* suspensions of the readers by a full ring */
    uint64_t max_batch;      /* most packets received as a unit */
    /* traffic */
    uint64_t bytes;     /* SPEAD packets that reached assembly, headers too */
    uint64_t datagrams; /* that arrived, whatever became of them */
    uint64_t messages;  /* as the kernel handed them over, GRO-merged or not */
    uint64_t calls;     /* receiving system calls that returned messages */
    uint64_t bytes_placed; /* payload the kernel wrote straight into heaps */
    uint64_t bytes_copied; /* payload that was copied into heaps */
    /* lost or rejected before assembly */
    uint64_t kernel_drops;          /* by the socket buffer (SO_RXQ_OVFL) */
    uint64_t rejected_short;        /* shorter than a SPEAD header */
    uint64_t rejected_magic;        /* not SPEAD, or not version 4 */
    uint64_t rejected_widths;       /* item pointer and address widths */
    uint64_t rejected_header;       /* item pointers beyond the datagram */
    uint64_t rejected_missing;      /* no HEAP_CNT, offset or length */
    uint64_t rejected_truncated;    /* payload beyond the datagram */
    uint64_t rejected_heap_length;  /* payload beyond HEAP_LEN */
    uint64_t rejected_size_mismatch;/* bytes after the packet */
    uint64_t rejected_oversize;     /* larger than max_size */
    uint64_t rejected_ip; /* packet ring: fragments, bad lengths, checksums */
    uint64_t socket_errors;         /* errors that the socket reported */
    /* refused by assembly */
    uint64_t refused_duplicate;
    uint64_t refused_overlap;
    uint64_t refused_heap_length;   /* conflicting HEAP_LEN or minimum length */
    uint64_t refused_flavour;
    uint64_t refused_memory;        /* none, or not earned (docs/design.md) */
    /* heaps */
    uint64_t heaps_dropped_incomplete; /* contiguous_only */
    uint64_t heaps_dropped_memory;     /* begun, then memory ran out */
    uint64_t heaps_dropped_stop;       /* lost to stop() */
    uint64_t ring_high_water;          /* most heaps in the ring at once */
} spn_stream_stats;

/* A stream whose readers will all live on the least loaded thread of
 * `threads`, feeding `ring`. allocator NULL: malloc. 0 and a reference;
 * -EINVAL, -ENOMEM, SPN_ESTOPPED if the pool or the ring has been stopped,
 * SPN_EFORKED if they are a parent's. */
int spn_stream_new(spn_threads *threads, const spn_stream_config *config,
                   spn_allocator *allocator, spn_ring *ring, spn_stream **out);

/* Dropping the last reference stops the stream. */
void spn_stream_unref(spn_stream *stream);

/* Stop the readers, wait until they have quit and their sockets are closed,
 * drop partial heaps and those that wait for room in the ring (both counted, in
 * heaps and in heaps_dropped_stop). Packets of a batch that the full ring had
 * interrupted are still counted. Idempotent. After it memory given to
 * spn_stream_add_memory_reader is no longer touched. */
void spn_stream_stop(spn_stream *stream);

/* Whether it was stopped, by spn_stream_stop or by the stream's own end. */
bool spn_stream_is_stopped(spn_stream *stream);

void spn_stream_set_allocator(spn_stream *stream, spn_allocator *allocator);
int spn_stream_set_memcpy(spn_stream *stream, int memcpy_id); /* or -EINVAL */
void spn_stream_set_stop_on_stop_item(spn_stream *stream, bool stop);

/* A consistent snapshot. */
void spn_stream_read_stats(spn_stream *stream, spn_stream_stats *out);

/* Feed packets that lie back to back in memory; at its end, or at the first
 * that cannot be decoded, the stream stops. `data` is not copied and must live
 * until the stream is stopped. On a stopped stream: 0, and nothing happens. */
int spn_stream_add_memory_reader(spn_stream *stream, const void *data,
                                 size_t length);

typedef struct {
    size_t max_size; /* largest datagram accepted */
    bool gro;        /* ask for UDP_GRO */
    bool scatter;    /* let the kernel write payloads into heaps */
    int busy_poll_us;/* SO_BUSY_POLL, 0: off */
    bool huge_pages; /* for the buffer that datagrams land in */
} spn_udp_reader_config;

/* Feed the datagrams of `fd`, a bound UDP socket, which the stream owns and
 * closes from then on (on an error it stays the caller's). On a stopped
 * stream: 0, and the socket is closed. */
int spn_stream_add_udp_reader(spn_stream *stream, int fd,
                              const spn_udp_reader_config *config);

/* How frames of one flow, or of one processor, are shared by the rings of a
 * fanout group: packet(7). */
enum {
    SPN_FANOUT_HASH = 0,
    SPN_FANOUT_CPU = 2,
};

typedef struct {
    int interface_index; /* 0: every interface */
    uint16_t port;
    bool is_ipv6;
    bool any_address;    /* else only datagrams to `address` */
    uint8_t address[16]; /* network byte order; IPv4: the first 4 */
    size_t max_size;     /* largest datagram accepted */
    unsigned block_size; /* bytes, a multiple of the page size */
    unsigned block_count;
    unsigned block_timeout_ms; /* a block not full is handed over then */
    bool all_protocols; /* bind to ETH_P_ALL: see frames before ingress drops */
    int fanout_group;   /* 0..65535, or -1: none */
    int fanout_mode;    /* SPN_FANOUT_... */
    int guard_fd; /* a socket to be held as long as the reader lives, or -1 */
} spn_packet_ring_config;

/* Feed the datagrams that a TPACKET_V3 ring on an interface sees. guard_fd is
 * the stream's from then on, unless there is an error. -EPERM without
 * CAP_NET_RAW, -EINVAL, -ENOMEM, -ENODEV.... On a stopped stream: 0, and
 * guard_fd is closed. */
int spn_stream_add_packet_ring_reader(spn_stream *stream,
                                      const spn_packet_ring_config *config);

/* ---- sending: packets --------------------------------------------------- */

/* An item to be sent. The bytes of an addressed one are not copied. */
typedef struct {
    uint64_t id;
    uint64_t value;   /* immediate: the value, in the low-order bytes */
    const void *data; /* addressed: its bytes */
    size_t length;    /* addressed: how many, 0 included */
    bool is_immediate;
} spn_send_item;

/* The packets of one heap: cut, but written out only as they are sent, so the
 * bytes sent are those that the items' memory has then. That memory must live
 * as long as this does. Never changes; may be sent many times and by several
 * senders at once. Shared. */
typedef struct spn_packets spn_packets;

/* Cut a heap of these items, in this order. max_packet_size is rounded down to
 * a multiple of 8. With repeat_pointers every packet carries all item pointers.
 * 0 and a reference; -EINVAL: heap_address_bits is no multiple of 8 in 8..56,
 * max_packet_size is below 56, or an id is one of the header's own (0..4) or
 * beyond the flavour; -EOVERFLOW: the heap's length or an immediate value is
 * beyond the flavour; -E2BIG: pointers to be repeated do not fit a packet;
 * -ENOMEM. */
int spn_packets_new(const spn_send_item *items, size_t count,
                    int heap_address_bits, size_t max_packet_size,
                    bool repeat_pointers, spn_packets **out);

void spn_packets_unref(spn_packets *packets);

size_t spn_packets_count(const spn_packets *packets);

/* The lengths of all packets together, headers included. */
size_t spn_packets_total(const spn_packets *packets);

/* The length of packet `index`. */
size_t spn_packets_length(const spn_packets *packets, size_t index);

/* Write packet `index` of heap `cnt` to `out`; returns its length. */
size_t spn_packets_write(const spn_packets *packets, size_t index,
                         uint64_t cnt, void *out);

/* Write them all, one behind the other: spn_packets_total bytes. */
void spn_packets_write_all(const spn_packets *packets, uint64_t cnt,
                           void *out);

/* Heaps that are sent together: each wholly before the next, or a packet of
 * each in turn for as long as it has any. */
enum {
    SPN_GROUP_ROUND_ROBIN,
    SPN_GROUP_SERIAL,
};

/* One of them. */
typedef struct {
    spn_packets *packets;
    int64_t cnt;     /* -1: the next of the sender's sequence */
    size_t endpoint;
} spn_heap_reference;

/* Write the packets of a group one behind the other; each heap has a cnt of its
 * own, its endpoint is ignored. 0; -EINVAL: no heap or no such mode; -ENOMEM. */
int spn_group_write(const spn_heap_reference *heaps, size_t count, int mode,
                    void *out);

/* ---- sending: senders --------------------------------------------------- */

/* Heaps in, UDP packets out: a queue, a rate and a socket, on one thread of a
 * pool. Heaps and groups of heaps go in the order of submission, each wholly
 * before the next. Shared. */
typedef struct spn_sender spn_sender;

/* A numeric IPv4 or IPv6 address; `scope` is that of an IPv6 one, else 0. */
typedef struct {
    const char *address;
    uint16_t port;
    uint32_t scope;
} spn_endpoint;

typedef struct {
    double rate;             /* bytes a second, SPEAD headers too; 0: no limit */
    double burst_rate_ratio; /* at least 1 */
    size_t burst_size;       /* bytes sent between looks at the clock */
    size_t max_heaps;        /* heaps in flight, at least 1 */
    bool gso;                /* use UDP_SEGMENT where the kernel has it */
    bool may_connect;        /* the socket is nobody else's */
} spn_sender_config;

typedef struct {
    uint64_t heaps;       /* sent */
    uint64_t bytes;       /* given to the kernel, SPEAD headers too */
    uint64_t packets;
    uint64_t messages;    /* one carries several packets with UDP_SEGMENT */
    uint64_t calls;       /* of sendmmsg that took something */
    uint64_t errors;      /* heaps given up for an error of the socket */
    uint64_t refused;     /* heaps refused because max_heaps were in flight */
    uint64_t cancelled;   /* heaps given up by a stop */
    uint64_t socket_full; /* waits for room in the socket */
    uint64_t gso_refused; /* messages that the device would not segment */
} spn_sender_stats;

/* What became of a heap or a group: `result` is the bytes sent, SPEAD headers
 * too, or -errno, or SPN_ESTOPPED when it was stopped before its end. Of a
 * group it is the first error; what one heap meets does not end the others. */
typedef struct {
    uint64_t token;
    int64_t result;
} spn_completion;

/* A sender through `fd`, a UDP socket, which it owns and closes from then on
 * (on an error it stays the caller's). 0 and a reference; -EINVAL: a bad
 * config, no endpoint, or an address that the socket's family cannot reach;
 * -ENOTSOCK; -ENOMEM; SPN_ESTOPPED; SPN_EFORKED. */
int spn_sender_new(spn_threads *threads, int fd, const spn_endpoint *endpoints,
                   size_t endpoint_count, const spn_sender_config *config,
                   spn_sender **out);

/* Dropping the last reference stops the sender. */
void spn_sender_unref(spn_sender *sender);

/* Give up what has not been sent, complete it with SPN_ESTOPPED, wake all
 * waiters and close the socket. Afterwards no item's memory is touched.
 * Idempotent. */
void spn_sender_stop(spn_sender *sender);

/* Queue a heap for endpoint `endpoint`. cnt -1: the next of the sequence. The
 * memory of its items must live until its completion has been taken. If it has
 * at most `direct` bytes, SPEAD headers too, the calling thread may do the
 * sending itself as far as it need not wait.
 * 0; -EAGAIN: max_heaps are in flight; -EINVAL: cnt or endpoint out of range;
 * -EMSGSIZE: its packets are too long for UDP; -ENOMEM; SPN_ESTOPPED;
 * SPN_EFORKED. */
int spn_sender_submit(spn_sender *sender, spn_packets *packets, int64_t cnt,
                      size_t endpoint, uint64_t token, size_t direct);

/* Queue a group; it has one completion. Refused as a whole, and then no count
 * of the sequence is used up: -EAGAIN if there is no room for all of its heaps,
 * -EINVAL also for no heap or no such mode, otherwise as above. */
int spn_sender_submit_group(spn_sender *sender, const spn_heap_reference *heaps,
                            size_t count, int mode, uint64_t token,
                            size_t direct);

/* Wait for the completion of `token`, which was submitted and not taken by
 * others, at most timeout_ms (-1: for ever). 0; -EAGAIN when time runs out;
 * -EINTR on a signal. */
int spn_sender_wait(spn_sender *sender, uint64_t token, int timeout_ms,
                    int64_t *result);

/* Submit with `direct`, and wait in the call where that takes but microseconds.
 * The bytes sent, SPEAD headers too, if all was sent in the call; 0 if `token`
 * is to be waited for, as the heap is under way or an error ended it; or why it
 * was refused, as submit says. */
int64_t spn_sender_send(spn_sender *sender, spn_packets *packets, int64_t cnt,
                        size_t endpoint, uint64_t token);

/* The same with a group. */
int64_t spn_sender_send_group(spn_sender *sender,
                              const spn_heap_reference *heaps, size_t count,
                              int mode, uint64_t token);

/* Take up to `count` completions: how many, or -EAGAIN. */
int spn_sender_try_pop(spn_sender *sender, spn_completion *out, int count);

/* Wait until all heaps submitted before the call are complete: as wait. */
int spn_sender_flush(spn_sender *sender, int timeout_ms);

/* An eventfd that polls readable exactly while try_pop would not return
 * -EAGAIN. Made at the first call; lives as long as the sender. -errno. */
int spn_sender_fd(spn_sender *sender);

/* The next heap gets cnt `next`, the one after it next + step, wrapped to the
 * flavour's width. -EINVAL when step is 0. */
int spn_sender_set_cnt_sequence(spn_sender *sender, uint64_t next,
                                uint64_t step);

/* A consistent snapshot. */
void spn_sender_read_stats(spn_sender *sender, spn_sender_stats *out);

/* ---- datagrams ---------------------------------------------------------- */

/* Receives from a socket, on a thread of a pool, into a bounded queue from
 * which batches are taken. Has a sole owner. */
typedef struct spn_inbox spn_inbox;

typedef struct {
    uint64_t datagrams;
    uint64_t bytes;
    uint64_t calls;         /* receiving system calls */
    uint64_t suspensions;   /* times that the queue had no room */
    uint64_t socket_errors; /* errors that the socket reported */
    uint64_t high_water;    /* most bytes in the queue at once */
} spn_inbox_stats;

/* Begin to receive from `fd`, a bound UDP socket that stays the caller's (it
 * may be closed at any time; shutting it down ends the inbox). The queue holds
 * `capacity` bytes, at least 65540; while there is no room for a datagram of
 * any size, they stay in the socket.
 * 0; -EINVAL, -ENOMEM, -EMFILE; SPN_ESTOPPED if the pool has been stopped. */
int spn_inbox_new(spn_threads *threads, int fd, size_t capacity,
                  spn_inbox **out);

/* Stop receiving. What is in the queue can still be taken. Idempotent. */
void spn_inbox_stop(spn_inbox *inbox);

/* Stop and free; not while another thread is in spn_inbox_pop. */
void spn_inbox_free(spn_inbox *inbox);

/* Take up to `count` datagrams, as many as fit `size` bytes, back to back into
 * `buffer`, and their lengths; wait at most timeout_ms (-1: for ever) for the
 * first. How many (at least 1); -EAGAIN when time runs out; -EMSGSIZE if the
 * first does not fit; SPN_ESTOPPED when there never will be one; SPN_EFORKED
 * in a forked child. */
int spn_inbox_pop(spn_inbox *inbox, int timeout_ms, void *buffer, size_t size,
                  uint32_t *lengths, int count);

void spn_inbox_read_stats(spn_inbox *inbox, spn_inbox_stats *out);

/* ---- SpiNNaker: the SCP window and link --------------------------------- */

/* The 16-bit sequence numbers of one connection, for all the windows that use
 * it: none is given out twice while a reply to its first use may still come.
 * A number whose request was answered once for the one time it was sent may
 * be used again when the count comes round; any other rests for 30 seconds, or
 * until 32768 younger ones rest. At most 32767 are in use. Shared; its lock is
 * also that of its windows. A child of the process that made it can read
 * counters; all else that uses it, and can fail, fails with SPN_EFORKED. */
typedef struct spn_sequences spn_sequences;

int spn_sequences_new(spn_sequences **out);
void spn_sequences_unref(spn_sequences *sequences);

typedef struct {
    int channels;        /* requests in progress at one time; 0: automatic */
    int waits;           /* when full, take no more until so few are left;
                          * below 0, or with channels 0: channels - 1 */
    int retries;         /* times that a request may be sent again */
    uint64_t timeout_ns; /* from each sending to its timeout */
    bool probe;          /* after a silence much longer than replies took so
                          * far, resend the oldest that may be sent twice */
} spn_window_config;

/* Totals since the window was made, but for the last two. */
typedef struct {
    uint64_t requests;   /* taken */
    uint64_t replies;    /* that finished a request */
    uint64_t sent;       /* transmissions, resent ones too */
    uint64_t resent;     /* for any reason */
    uint64_t resent_retry_code; /* after a result code that asks for it */
    uint64_t resent_overtaken;  /* three later requests were answered */
    uint64_t resent_probe;      /* after a silence, by `probe` */
    uint64_t timeouts;   /* deadlines that passed, the last of a request too */
    uint64_t ignored_short;     /* datagrams below an SCP reply's 14 bytes */
    uint64_t ignored_oversize;  /* beyond what a board can send */
    uint64_t ignored_flags;     /* flags that no SDP message has */
    uint64_t ignored_command;   /* a command where a result code belongs */
    uint64_t ignored_length;    /* not as many bytes as were asked for */
    uint64_t ignored_unknown;   /* of a number that was never used */
    uint64_t ignored_late;      /* repeated, or of a request that has ended */
    uint64_t socket_errors;     /* ICMP errors and their like */
    int channels;        /* as it is now */
    int in_progress;     /* taken and not ended */
} spn_window_stats;

/* What became of a request. */
typedef struct {
    uint64_t token;
    int32_t status;    /* 0: a reply; -ETIMEDOUT: retries used up; other -errno;
                        * SPN_ESTOPPED */
    uint32_t offset;   /* of the reply in the data that came with it */
    uint16_t length;   /* of the reply, from its two bytes of padding on */
    uint16_t code;     /* the reply's result code; with -ETIMEDOUT the last
                        * one that asked for a retry, or 0 */
    uint16_t sequence;
    uint16_t attempts; /* times it was sent */
} spn_scp_outcome;

/* Requests in, packets out, replies in, completions out; time is passed in
 * (CLOCK_MONOTONIC in ns). One thread at a time drives a window, but windows
 * of the same sequence numbers may be driven by several: a reply that one of
 * them receives goes to the window it belongs to. Sole owner. */
typedef struct spn_window spn_window;

/* Keeps a reference to `sequences`. -EINVAL unless waits < channels or
 * channels is 0, retries >= 0 and timeout_ns >= 1. */
int spn_window_new(const spn_window_config *config, spn_sequences *sequences,
                   spn_window **out);
void spn_window_free(spn_window *window);

void spn_window_read_stats(spn_window *window, spn_window_stats *out);

/* Take a request, its own sequence number put in. `bytes` (26 to 282 of them)
 * are copied. `may_repeat`: it does no harm when it is executed twice. Its
 * sequence number, -EAGAIN when the window is full, or SPN_ENUMBERS. */
int spn_window_submit(spn_window *window, uint64_t token, const uint8_t *bytes,
                      size_t length, bool may_repeat);

/* The rest is for a driver that has the bytes of its requests itself. */

enum {
    SPN_WINDOW_ENDED = 0x10000,    /* the reply has ended its request */
    SPN_WINDOW_FULL = 0x20000,     /* the next request will be refused */
    SPN_WINDOW_DUE = 0x40000,      /* spn_window_step has something to do */
    SPN_WINDOW_HELD = 0x80000,     /* it is to be sent when a step says so */
    SPN_WINDOW_REFUSED = 0x100000, /* the window is full; it was not taken */
};

/* Take in that a request was `answered` with RC_OK (its sequence number; -1:
 * none), as spn_window_match does, then take a request. Its sequence number,
 * which is also its token, with the flags or-ed to it; it counts as sent unless
 * it is HELD. Or SPN_ENUMBERS. now_ns 0, here and below: ask the clock. */
int spn_window_offer(spn_window *window, uint64_t now_ns, int answered);

/* Take in a reply that the driver has decoded: ENDED, DUE or both. The request
 * may be of another window of the same sequence numbers. If it has not ended,
 * the reply was ignored, or will lead to another sending. */
int spn_window_match(spn_window *window, uint64_t now_ns, uint16_t sequence,
                     uint16_t code);

/* Let time pass. The numbers of up to `count` requests to be sent now; they
 * count as sent. *wait_ns is the time until the next step at the latest. There
 * may be requests for spn_window_pop. When some are out of time it is 0 first:
 * look for replies; if none is there (no spn_window_match comes between), the
 * next step ends them or sends them again. */
int spn_window_step(spn_window *window, uint64_t now_ns, uint16_t *sequences,
                    int count, uint64_t *wait_ns);

/* Of the requests that later ones have overtaken, the number of the next that
 * may be sent again before its time if it does no harm when it is executed
 * twice; -1 when there is no other. Asked once of each, before a step. */
int spn_window_doubt(spn_window *window);

/* The request does no harm when it is executed twice. */
void spn_window_repeat(spn_window *window, uint16_t sequence);

/* End all requests with this status. */
void spn_window_fail(spn_window *window, int status);

/* Forget the requests of this token; nothing is said about them. */
void spn_window_forget(spn_window *window, uint64_t token);

/* Take completions with as many replies as `data` holds. How many. */
int spn_window_pop(spn_window *window, spn_scp_outcome *completions, int count,
                   uint8_t *data, size_t size);

/* Whether a request may be executed twice without harm, so that it may be
 * sent again before its timeout: READ, WRITE, FILL, VER, INFO, IPTAG get and
 * set, and ALLOC with its retry flag. `bytes` start with the padding. */
bool spn_scp_may_repeat(const uint8_t *bytes, size_t length);

/* The bytes after the header of an OK reply to this request (READ and
 * LINK_READ tell them); -1 if that is not known. */
int spn_scp_reply_length(const uint8_t *bytes, size_t length);

/* A connected UDP socket that windows are driven over, in the threads of their
 * callers. Shared. */
typedef struct spn_link spn_link;

/* The link works on a duplicate of `fd`. */
int spn_link_new(int fd, spn_link **out);
void spn_link_unref(spn_link *link);

/* The sequence numbers of the link; a reference that the caller owns. */
spn_sequences *spn_link_sequences(spn_link *link);

/* End what runs over the link: each run returns SPN_ESTOPPED after it has
 * taken what had arrived. The socket is shut down. Idempotent. */
void spn_link_stop(spn_link *link);

/* spn_window_submit, and send what may be sent. `bytes` must not be NULL. The
 * sequence number, -EAGAIN when the window is full, SPN_ENUMBERS, SPN_ESTOPPED,
 * SPN_EFORKED in a child of the process that made the link. */
int spn_link_send(spn_link *link, spn_window *window, uint64_t token,
                  const uint8_t *bytes, size_t length, bool may_repeat);

/* Send and receive until there are completions, at most timeout_ms; then as
 * spn_window_pop. How many; 0 when time runs out, when nothing is in progress,
 * or, if asked for by until_room, when the window can take a request;
 * -EINTR on a signal; SPN_ESTOPPED when the link is stopped and all
 * completions have been taken (every request then has one); SPN_EFORKED. */
int spn_link_run(spn_link *link, spn_window *window, int timeout_ms,
                 bool until_room, spn_scp_outcome *completions, int count,
                 uint8_t *data, size_t size);

/* ---- SpiNNaker: memory in bulk ------------------------------------------ */

enum {
    SPN_TRANSFER_READ,
    SPN_TRANSFER_WRITE,
    SPN_TRANSFER_LINK_READ,
    SPN_TRANSFER_LINK_WRITE,
    SPN_TRANSFER_FILL,
    SPN_TRANSFER_FLOOD, /* the data blocks (FFD) of a flood fill */
};

/* One piece of memory to be read or written; the caller's, and its data too,
 * from spn_bulk_add until spn_bulk_free. */
typedef struct {
    /* set by the caller */
    int kind;
    uint8_t x;
    uint8_t y;
    uint8_t cpu;
    uint8_t link;      /* LINK_...; FLOOD: the flood's number, 1 to 127 */
    uint32_t address;
    uint32_t word;     /* FILL: what with; FLOOD: forward and retry, as the
                        * upper half of FFD's first argument */
    uint64_t length;
    uint8_t *data;     /* only read from unless a READ */
    /* set by the library */
    uint64_t done;     /* bytes acknowledged */
    int32_t status;    /* -EINPROGRESS, 0, -ETIMEDOUT, -errno, SPN_ESTOPPED, or
                        * -EREMOTEIO: a result code other than OK */
    uint32_t code;     /* that result code, or the last one that asked for a
                        * retry */
} spn_transfer;

/* Transfers over any number of links, run from one thread. Those over one
 * link share a window and run in the order of spn_bulk_add. Sole owner. */
typedef struct spn_bulk spn_bulk;

int spn_bulk_new(const spn_window_config *config, spn_bulk **out);
void spn_bulk_free(spn_bulk *bulk);

/* -EINVAL for a bad kind, an address beyond 32 bits, or, where words are
 * needed (LINK_..., FILL, FLOOD), an address or length that is no multiple of
 * four; -ENOMEM; SPN_EFORKED. Keeps a reference to the link. */
int spn_bulk_add(spn_bulk *bulk, spn_link *link, spn_transfer *transfer);

/* Go on for about slice_ms (or to the end). How many transfers have not ended;
 * -EINTR on a signal; SPN_EFORKED. One that fails does not end the others. */
int spn_bulk_run(spn_bulk *bulk, int slice_ms);

/* Bytes acknowledged so far, of all transfers. */
uint64_t spn_bulk_done(const spn_bulk *bulk);

/* The sums over its windows; `channels` is the sum too. */
void spn_bulk_read_stats(spn_bulk *bulk, spn_window_stats *out);

/* cffi: end */

#endif
