/* SPDX-License-Identifier: Apache-2.0 */
/* Free buffers are a stack, linked through their own first bytes: the newest
 * is the one most likely in the cache, and no array has to grow.
 *
 * A buffer that is out carries what its base needs to take it back: its data
 * and capacity are the base's, and whether it is one of the pool's or came
 * straight from the base follows from its size. So nothing is looked up.
 *
 * Without a base of the user's, the first buffers are cut from one slab of huge
 * pages, which are quicker to fill. It goes with the pool, so its buffers are
 * always kept; others make way for them.
 *
 * The buffers that are out hold one reference to the pool together.
 *
 * `lock` is held for a few loads and stores only; allocation and release of
 * memory, log and posting of the refill happen outside. A fork waits for these
 * moments, so that the pool is whole in the child.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/cache.h"
#include "base/lock.h"
#include "base/log.h"
#include "memory/allocator.h"
#include "memory/pages.h"
#include "memory/refill.h"

#define SLAB_LEAST ((size_t)2 << 20) /* a huge page */

typedef struct free_buffer {
    struct free_buffer *next;
    size_t capacity;
} free_buffer;

typedef struct pool {
    spn_allocator face;
    size_t lower, upper;
    size_t max_free, initial, low_water;
    spn_allocator *base;
    spni_refill *refill; /* NULL: none */
    bool warns;          /* atomic */
    uint8_t *slab;       /* NULL: none */
    size_t slab_size;

    /* Written with each buffer: on lines of its own. */
    _Alignas(SPNI_CACHE_LINE) pthread_mutex_t lock; /* the two below */
    free_buffer *top;
    spn_pool_stats stats;

    /* Of all pools, for fork. */
    _Alignas(SPNI_CACHE_LINE) struct pool *next, **previous;
} pool;

/* ---- fork ---- */

static pthread_mutex_t pools_lock = PTHREAD_MUTEX_INITIALIZER;
static pool *pools;

static void register_pool(pool *self)
{
    pthread_mutex_lock(&pools_lock);
    self->next = pools;
    self->previous = &pools;
    if (pools != NULL)
        pools->previous = &self->next;
    pools = self;
    pthread_mutex_unlock(&pools_lock);
}

static void unregister_pool(pool *self)
{
    pthread_mutex_lock(&pools_lock);
    *self->previous = self->next;
    if (self->next != NULL)
        self->next->previous = self->previous;
    pthread_mutex_unlock(&pools_lock);
}

static void before_fork(void)
{
    pthread_mutex_lock(&pools_lock);
    for (pool *each = pools; each != NULL; each = each->next)
        pthread_mutex_lock(&each->lock);
}

static void after_fork(void)
{
    for (pool *each = pools; each != NULL; each = each->next)
        pthread_mutex_unlock(&each->lock);
    pthread_mutex_unlock(&pools_lock);
}

__attribute__((constructor)) static void watch_forks(void)
{
    pthread_atfork(before_fork, after_fork, after_fork);
}

/* ---- the stack ---- */

/* What the base is asked for: room for the link. */
static size_t pooled_size(const pool *self)
{
    return self->upper > sizeof(free_buffer) ? self->upper
                                             : sizeof(free_buffer);
}

static bool is_pooled(const pool *self, size_t size)
{
    return size >= self->lower && size <= self->upper;
}

static void push_locked(pool *self, void *data, size_t capacity)
{
    free_buffer *buffer = data;
    buffer->next = self->top;
    buffer->capacity = capacity;
    self->top = buffer;
    self->stats.free++;
}

static bool pop_locked(pool *self, spni_buffer *out)
{
    free_buffer *buffer = self->top;
    if (buffer == NULL)
        return false;
    self->top = buffer->next;
    self->stats.free--;
    out->data = buffer;
    out->capacity = buffer->capacity;
    return true;
}

static bool is_of_slab(const pool *self, const void *data)
{
    return (uintptr_t)data - (uintptr_t)self->slab < self->slab_size;
}

/* What must go when a buffer comes back to a full pool: the buffer, unless it
 * is of the slab. Then there is a free one that is not, since a pool keeps as
 * many as its slab has. */
static void make_way_locked(pool *self, const spni_buffer *buffer,
                            spni_buffer *surplus)
{
    free_buffer **link = &self->top;
    *surplus = *buffer;
    if (!is_of_slab(self, buffer->data))
        return;
    while (is_of_slab(self, *link))
        link = &(*link)->next;
    surplus->data = *link;
    surplus->capacity = (*link)->capacity;
    *link = (*link)->next;
    self->stats.free--;
}

static int allocate_from_base(pool *self, size_t size, spni_buffer *out)
{
    return self->base->kind->allocate(self->base, size, out);
}

static void release_to_base(pool *self, size_t size, void *data,
                            size_t capacity)
{
    spni_buffer buffer = {data, size, capacity, self->base};
    self->base->kind->release(self->base, &buffer);
}

/* ---- allocation ---- */

static void count_out_locked(pool *self)
{
    if (self->stats.outstanding++ == 0)
        spni_allocator_ref(&self->face);
}

/* True: the caller has to drop the reference of those that were out. */
static bool count_back_locked(pool *self)
{
    return --self->stats.outstanding == 0;
}

static int allocate_missed(pool *self, size_t size, spni_buffer *out)
{
    if (__atomic_load_n(&self->warns, __ATOMIC_RELAXED))
        spni_log(SPN_LOG_WARNING,
                 "memory pool is empty when allocating %zu bytes", size);
    int error = allocate_from_base(self, pooled_size(self), out);
    if (error < 0) {
        pthread_mutex_lock(&self->lock);
        bool is_last = count_back_locked(self);
        pthread_mutex_unlock(&self->lock);
        if (is_last)
            spn_allocator_unref(&self->face);
    }
    return error;
}

static int pool_allocate(spn_allocator *allocator, size_t size,
                         spni_buffer *out)
{
    pool *self = (pool *)allocator;
    int error = 0;
    if (is_pooled(self, size)) {
        pthread_mutex_lock(&self->lock);
        bool is_hit = pop_locked(self, out);
        self->stats.hits += is_hit;
        self->stats.misses += !is_hit;
        count_out_locked(self);
        bool is_low = self->stats.free < self->low_water;
        pthread_mutex_unlock(&self->lock);
        if (is_low)
            spni_refill_request(self->refill);
        if (!is_hit)
            error = allocate_missed(self, size, out);
    } else {
        error = allocate_from_base(self, size, out);
        if (error == 0)
            spni_allocator_ref(allocator);
    }
    if (error < 0)
        return error;
    out->size = size;
    out->allocator = allocator;
    return 0;
}

static bool release_surplus(pool *self, const spni_buffer *surplus)
{
    release_to_base(self, pooled_size(self), surplus->data, surplus->capacity);
    pthread_mutex_lock(&self->lock);
    bool is_last = count_back_locked(self);
    pthread_mutex_unlock(&self->lock);
    return is_last;
}

static void pool_release(spn_allocator *allocator, spni_buffer *buffer)
{
    pool *self = (pool *)allocator;
    spni_buffer surplus = {0};
    if (!is_pooled(self, buffer->size)) {
        release_to_base(self, buffer->size, buffer->data, buffer->capacity);
        spn_allocator_unref(allocator);
        return;
    }
    pthread_mutex_lock(&self->lock);
    if (self->stats.free == self->max_free)
        make_way_locked(self, buffer, &surplus);
    if (surplus.data != buffer->data)
        push_locked(self, buffer->data, buffer->capacity);
    /* What goes is still out while the base is needed for it. */
    bool is_last = surplus.data == NULL && count_back_locked(self);
    pthread_mutex_unlock(&self->lock);
    if (surplus.data != NULL)
        is_last = release_surplus(self, &surplus);
    if (is_last)
        spn_allocator_unref(allocator);
}

/* ---- filling ---- */

/* Make one more buffer for the pool: 0 or -ENOMEM. */
static int add_buffer(pool *self, bool is_refill)
{
    spni_buffer buffer;
    int error = allocate_from_base(self, pooled_size(self), &buffer);
    if (error < 0)
        return error;
    pthread_mutex_lock(&self->lock);
    /* Buffers may have come back meanwhile. */
    bool is_kept = self->stats.free < self->max_free;
    if (is_kept)
        push_locked(self, buffer.data, buffer.capacity);
    self->stats.refilled += is_kept && is_refill;
    pthread_mutex_unlock(&self->lock);
    if (!is_kept)
        release_to_base(self, pooled_size(self), buffer.data,
                        buffer.capacity);
    return 0;
}

/* From one buffer of the slab to the next. */
static size_t slab_stride(const pool *self)
{
    return SPNI_CACHE_LINES(pooled_size(self));
}

static bool wants_slab(const pool *self)
{
    return self->initial > 0 && self->upper <= PTRDIFF_MAX - SPNI_CACHE_LINE
        && slab_stride(self) <= PTRDIFF_MAX / self->initial
        && slab_stride(self) * self->initial >= SLAB_LEAST;
}

/* Cut the first buffers from one mapping: 0 or -ENOMEM. */
static int add_slab(pool *self)
{
    size_t stride = slab_stride(self);
    uint8_t *slab = spni_pages_map(stride * self->initial);
    if (slab == NULL)
        return -ENOMEM;
    self->slab = slab;
    self->slab_size = stride * self->initial;
    for (size_t i = self->initial; i-- > 0;)
        push_locked(self, slab + i * stride, stride);
    return 0;
}

static int add_first_buffers(pool *self, bool has_own_base)
{
    int error = 0;
    if (has_own_base && wants_slab(self))
        return add_slab(self);
    for (size_t i = 0; error == 0 && i < self->initial; i++)
        error = add_buffer(self, false);
    return error;
}

static size_t count_free(pool *self)
{
    pthread_mutex_lock(&self->lock);
    size_t count = self->stats.free;
    pthread_mutex_unlock(&self->lock);
    return count;
}

static bool refill_step(spn_allocator *allocator)
{
    pool *self = (pool *)allocator;
    return count_free(self) < self->initial && add_buffer(self, true) == 0 &&
           count_free(self) < self->initial;
}

/* ---- life ---- */

static void pool_destroy(spn_allocator *allocator)
{
    pool *self = (pool *)allocator;
    spni_buffer buffer;
    spni_refill_free(self->refill);
    unregister_pool(self);
    while (pop_locked(self, &buffer))
        if (!is_of_slab(self, buffer.data))
            release_to_base(self, pooled_size(self), buffer.data,
                            buffer.capacity);
    spni_pages_unmap(self->slab, self->slab_size);
    spn_allocator_unref(self->base);
    pthread_mutex_destroy(&self->lock);
    free(self);
}

static const spni_allocator_kind pool_kind = {
    .allocate = pool_allocate,
    .release = pool_release,
    .destroy = pool_destroy,
    .shares_reference = true,
};

static int base_or_malloc(spn_allocator *base, spn_allocator **out)
{
    *out = base;
    if (base == NULL)
        return spn_allocator_new_malloc(out);
    spni_allocator_ref(base);
    return 0;
}

int spn_allocator_new_pool(spn_threads *threads, size_t lower, size_t upper,
                           size_t max_free, size_t initial, size_t low_water,
                           spn_allocator *base, spn_allocator **out)
{
    *out = NULL;
    if (lower > upper || initial > max_free || low_water > initial ||
        (low_water > 0 && threads == NULL))
        return -EINVAL;
    pool *self = aligned_alloc(SPNI_CACHE_LINE, sizeof *self);
    if (self == NULL)
        return -ENOMEM;
    *self = (pool){
        .face = {.kind = &pool_kind, .references = 1},
        .lower = lower,
        .upper = upper,
        .max_free = max_free,
        .initial = initial,
        .low_water = low_water,
        .warns = true,
    };
    spni_lock_init(&self->lock);
    register_pool(self);
    int error = base_or_malloc(base, &self->base);
    if (error == 0 && low_water > 0)
        error = spni_refill_new(threads, &self->face, refill_step,
                                &self->refill);
    if (error == 0)
        error = add_first_buffers(self, base == NULL);
    if (error < 0) {
        pool_destroy(&self->face);
        return error;
    }
    *out = &self->face;
    return 0;
}

int spn_allocator_set_warn_on_empty(spn_allocator *allocator, bool warn)
{
    if (allocator->kind != &pool_kind)
        return -EINVAL;
    __atomic_store_n(&((pool *)allocator)->warns, warn, __ATOMIC_RELAXED);
    return 0;
}

int spn_allocator_read_pool_stats(spn_allocator *allocator,
                                  spn_pool_stats *out)
{
    pool *self = (pool *)allocator;
    if (allocator->kind != &pool_kind)
        return -EINVAL;
    pthread_mutex_lock(&self->lock);
    *out = self->stats;
    pthread_mutex_unlock(&self->lock);
    return 0;
}
