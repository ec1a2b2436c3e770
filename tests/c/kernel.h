/* SPDX-License-Identifier: Apache-2.0 */
/* A receiving socket whose kernel is the test: a descriptor that polls readable
 * while messages wait, and a recvmmsg of the program's own, which takes the
 * place of the C library's. So a test says what each call brings.
 *
 * Before it writes anything, a call spoils the memory that it was led to. A
 * reader that leads it into memory in use, or twice into the same, shows in what
 * comes out. */
#ifndef KERNEL_H
#define KERNEL_H

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"

#ifndef UDP_GRO
#define UDP_GRO 104
#endif

enum {
    KERNEL_LARGEST = 65536, /* a message of any length has to fit */
    KERNEL_SPOILED = 512,   /* of where the end of a message is led to */
};

typedef struct {
    const uint8_t *data;
    size_t length;
    size_t segment; /* size of its datagrams; 0: it is one */
} kernel_message;

static struct {
    pthread_mutex_t lock;
    int fd; /* protected by lock, as all below */
    const kernel_message *next;
    size_t left;
    unsigned most; /* messages that a call may bring, 1..most by turns */
    unsigned calls; /* that brought something */
    unsigned led;   /* of them, those that led messages to several places */
    unsigned moved; /* of them, those that led the first to one other place than
                     * the first call did */
    const void *usual; /* that place */
    void (*after)(void); /* each call, on the thread that calls; may be NULL */
} kernel = {.lock = PTHREAD_MUTEX_INITIALIZER, .fd = -1};

/* Open the one socket that there is; who is given the descriptor closes it. */
static inline int kernel_open(unsigned most)
{
    int fd = eventfd(0, EFD_NONBLOCK);
    CHECK(fd >= 0);
    pthread_mutex_lock(&kernel.lock);
    kernel.fd = fd;
    kernel.left = 0;
    kernel.most = most;
    kernel.calls = 0;
    kernel.led = 0;
    kernel.moved = 0;
    kernel.usual = NULL;
    kernel.after = NULL;
    pthread_mutex_unlock(&kernel.lock);
    return fd;
}

/* Let messages arrive, when all before them have been taken. They stay the
 * caller's. */
static inline void kernel_arrive(const kernel_message *messages, size_t count)
{
    uint64_t one = 1;
    pthread_mutex_lock(&kernel.lock);
    CHECK_EQ(kernel.left, 0);
    kernel.next = messages;
    kernel.left = count;
    CHECK(count == 0
          || write(kernel.fd, &one, sizeof one) == (ssize_t)sizeof one);
    pthread_mutex_unlock(&kernel.lock);
}

static inline unsigned kernel_led(void)
{
    pthread_mutex_lock(&kernel.lock);
    unsigned led = kernel.led;
    pthread_mutex_unlock(&kernel.lock);
    return led;
}

static inline void kernel_spoil(const struct msghdr *header)
{
    size_t room = 0;
    for (size_t i = 0; i < header->msg_iovlen; i++) {
        size_t length = header->msg_iov[i].iov_len;
        CHECK(length <= KERNEL_LARGEST);
        room += length;
        if (i + 1 == header->msg_iovlen && length > KERNEL_SPOILED)
            length = KERNEL_SPOILED;
        memset(header->msg_iov[i].iov_base, 0xee, length);
    }
    CHECK_EQ(room, KERNEL_LARGEST);
}

static inline void kernel_tell_segment(struct msghdr *header, size_t segment)
{
    int size = (int)segment;
    struct cmsghdr *control = CMSG_FIRSTHDR(header);
    if (segment == 0 || control == NULL) {
        header->msg_controllen = 0;
        return;
    }
    control->cmsg_level = IPPROTO_UDP;
    control->cmsg_type = UDP_GRO;
    control->cmsg_len = CMSG_LEN(sizeof size);
    memcpy(CMSG_DATA(control), &size, sizeof size);
    header->msg_controllen = CMSG_SPACE(sizeof size);
}

static inline void kernel_write(struct mmsghdr *to, const kernel_message *from)
{
    struct msghdr *header = &to->msg_hdr;
    size_t done = 0;
    for (size_t i = 0; i < header->msg_iovlen && done < from->length; i++) {
        size_t part = header->msg_iov[i].iov_len;
        if (part > from->length - done)
            part = from->length - done;
        memcpy(header->msg_iov[i].iov_base, from->data + done, part);
        done += part;
    }
    to->msg_len = (unsigned)done;
    header->msg_flags = done < from->length ? MSG_TRUNC : 0;
    kernel_tell_segment(header, from->segment);
}

static inline void kernel_note(const struct msghdr *first)
{
    const void *place = first->msg_iov[0].iov_base;
    if (kernel.usual == NULL)
        kernel.usual = place;
    if (first->msg_iovlen > 1)
        kernel.led++;
    else
        kernel.moved += place != kernel.usual;
}

static inline int kernel_receive(struct mmsghdr *messages, unsigned limit)
{
    unsigned most = 1 + kernel.calls * 7 % kernel.most;
    uint64_t count;
    unsigned n = 0;
    if (kernel.left == 0)
        return 0;
    kernel.calls++;
    kernel_note(&messages[0].msg_hdr);
    for (unsigned i = 0; i < limit; i++)
        kernel_spoil(&messages[i].msg_hdr);
    for (; n < limit && n < most && kernel.left > 0; n++, kernel.left--)
        kernel_write(&messages[n], kernel.next++);
    if (kernel.left == 0)
        (void)!read(kernel.fd, &count, sizeof count);
    if (kernel.after != NULL)
        kernel.after();
    return (int)n;
}

int recvmmsg(int fd, struct mmsghdr *messages, unsigned limit, int flags,
             struct timespec *timeout)
{
    int count = 0;
    (void)flags;
    (void)timeout;
    pthread_mutex_lock(&kernel.lock);
    if (fd == kernel.fd)
        count = kernel_receive(messages, limit);
    pthread_mutex_unlock(&kernel.lock);
    if (count > 0)
        return count;
    errno = EAGAIN;
    return -1;
}

#endif
