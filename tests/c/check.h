/* SPDX-License-Identifier: Apache-2.0 */
/* What a C test says: CHECK(condition), CHECK_EQ(a, b) of integers,
 * CHECK_ERR(call, code). A failure prints where and ends the program. Exit
 * status 77 (SKIP) means that the machine cannot run the test. */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>
#include <stdlib.h>

/* What has not come after so long will not come. No test waits for less,
 * and the alarms of children are of this length. */
enum { PATIENCE_MS = 100000, PATIENCE_S = PATIENCE_MS / 1000 };

#define CHECK(condition)                                                     \
    do {                                                                     \
        if (!(condition)) {                                                  \
            fprintf(stderr, "%s:%d: %s is false\n", __FILE__, __LINE__,      \
                    #condition);                                             \
            exit(1);                                                         \
        }                                                                    \
    } while (0)

#define CHECK_EQ(left, right)                                                \
    do {                                                                     \
        long long left_ = (long long)(left), right_ = (long long)(right);    \
        if (left_ != right_) {                                               \
            fprintf(stderr, "%s:%d: %s is %lld, not %lld (%s)\n", __FILE__,  \
                    __LINE__, #left, left_, right_, #right);                 \
            exit(1);                                                         \
        }                                                                    \
    } while (0)

#define CHECK_ERR(call, code) CHECK_EQ(call, code)

#define SKIP(reason)                                                         \
    do {                                                                     \
        fprintf(stderr, "skipped: %s\n", reason);                            \
        exit(77);                                                            \
    } while (0)

/* Under a sanitizer too memory may be asked for that nobody has. */
#if defined __SANITIZE_ADDRESS__
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}
#elif defined __SANITIZE_THREAD__
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
    return "allocator_may_return_null=1";
}
#endif

#endif
