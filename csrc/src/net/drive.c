/* SPDX-License-Identifier: Apache-2.0 */
/* When the pump must wait (for the rate, or for room in the socket) that is
 * done on the loop, as a timer or a handler.
 *
 * Two may drive, never at once: the loop, and the thread of a caller who waits
 * for the heap anyhow. The latter saves two changes of thread a heap, which is
 * most of the cost of a small one, and longer than a burst at 10 Gb/s takes. It
 * leaves the rest to the loop when there is more to wait for than such changes
 * take, and after DIRECT_NS, so that it does not work long for others and a
 * signal is not kept waiting.
 *
 * The last stretch before a deadline is not slept but spent in rounds of the
 * loop (a task that posts itself): a sleep ends tens of microseconds late,
 * which is longer than a burst at 10 Gb/s takes, and in such a round the other
 * handlers have their turn. What is late all the same, the clocks catch up.
 */
#include "net/drive.h"

#include <stddef.h>
#include <sys/epoll.h>

#include "base/clock.h"

#define LOOP_STEPS 4
#define DIRECT_NS UINT64_C(5000000)
#define SPIN_NS UINT64_C(60000)

/* ---- on the loop ---- */

static void wait_until(spni_drive *drive, uint64_t deadline_ns)
{
    if (deadline_ns > spni_now_ns() + SPIN_NS) {
        spni_timer_set(drive->loop, &drive->timer, deadline_ns - SPIN_NS);
    } else {
        spni_loop_post(drive->loop, &drive->task);
    }
}

/* A socket that cannot be watched is tried again in a while. */
static void wait_until_writable(spni_drive *drive)
{
    drive->is_watching =
        spni_loop_add(drive->loop, &drive->writable, EPOLLOUT) == 0;
    if (!drive->is_watching) {
        spni_timer_set(drive->loop, &drive->timer,
                       spni_now_ns() + UINT64_C(1000000));
    }
}

static void run(spni_drive *drive)
{
    uint64_t until_ns = 0;
    if (drive->is_stopped) {
        return;
    }
    for (int i = 0; i < LOOP_STEPS; i++) {
        switch (spni_pump_step(&drive->pump, &until_ns)) {
        case SPNI_PROGRESS:
            break;
        case SPNI_DRAINED:
            if (spni_outbox_give_up_turn(drive->pump.outbox)) {
                return;
            }
            break;
        case SPNI_PAUSED:
            wait_until(drive, until_ns);
            return;
        case SPNI_SOCKET_FULL:
            wait_until_writable(drive);
            return;
        }
    }
    spni_loop_post(drive->loop, &drive->task);
}

static spni_drive *container(void *member, size_t offset)
{
    return (spni_drive *)(void *)((char *)member - offset);
}

static void on_task(spni_task *task)
{
    run(container(task, offsetof(spni_drive, task)));
}

static void on_timer(spni_timer *timer)
{
    run(container(timer, offsetof(spni_drive, timer)));
}

static void on_writable(spni_handler *handler, uint32_t events)
{
    spni_drive *drive = container(handler, offsetof(spni_drive, writable));
    (void)events;
    spni_loop_remove(drive->loop, handler);
    drive->is_watching = false;
    run(drive);
}

void spni_drive_on_loop(spni_drive *drive)
{
    spni_loop_post(drive->loop, &drive->task);
}

/* ---- in a caller's thread ---- */

/* Spin till then; false if that would be longer than `most_ns`. */
static bool spin_until(uint64_t then_ns, uint64_t most_ns)
{
    uint64_t now_ns = spni_now_ns();
    if (then_ns > now_ns + most_ns) {
        return false;
    }
    while (spni_now_ns() < then_ns) {
    }
    return true;
}

void spni_drive_directly(spni_drive *drive, uint64_t spin_ns)
{
    spni_outbox *outbox = drive->pump.outbox;
    uint64_t until_ns = 0;
    uint64_t end_ns = spni_now_ns() + DIRECT_NS;
    bool goes_on = true;
    while (goes_on) {
        spni_pumped result = spni_pump_step(&drive->pump, &until_ns);
        if (result == SPNI_DRAINED && spni_outbox_give_up_turn(outbox)) {
            return;
        }
        goes_on = result != SPNI_SOCKET_FULL && spni_now_ns() < end_ns &&
                  (result != SPNI_PAUSED || spin_until(until_ns, spin_ns)) &&
                  !spni_outbox_is_stopped(outbox);
    }
    spni_outbox_pass_turn_to_loop(outbox);
    spni_drive_on_loop(drive);
}

/* ---- life ---- */

void spni_drive_init(spni_drive *drive, int fd)
{
    drive->task.run = on_task;
    drive->timer.fire = on_timer;
    drive->writable = (spni_handler){.fd = fd, .ready = on_writable};
}

void spni_drive_forget(spni_drive *drive)
{
    spni_loop_unpost(drive->loop, &drive->task);
    spni_timer_cancel(drive->loop, &drive->timer);
    if (drive->is_watching) {
        spni_loop_remove(drive->loop, &drive->writable);
        drive->is_watching = false;
    }
}

bool spni_drive_stop(spni_drive *drive)
{
    if (drive->is_stopped) {
        return false;
    }
    drive->is_stopped = true;
    spni_outbox_stop(drive->pump.outbox);
    spni_pump_cancel(&drive->pump);
    return true;
}
