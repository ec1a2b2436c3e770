/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "base/records.h"
#include "check.h"

static uint8_t data[65536], buffer[1 << 18];
static uint32_t lengths[64];

static void test_records_come_back_in_order_around_the_end(void)
{
    spni_records records;
    uint32_t put = 0, taken = 0;
    CHECK_EQ(spni_records_init(&records, 2 * SPNI_RECORD_MAX + 7), 0);
    while (taken < 2000) {
        while (spni_records_room(&records) > 0 && put < 2000) {
            uint32_t length = put * 37 % 3000;
            memset(data, (int)put, length);
            spni_records_put(&records, data, length);
            put++;
        }
        int count = spni_records_take(&records, buffer, sizeof buffer, lengths,
                                      7);
        CHECK(count > 0);
        uint8_t *at = buffer;
        for (int i = 0; i < count; i++, taken++) {
            CHECK_EQ(lengths[i], taken * 37 % 3000);
            memset(data, (int)taken, lengths[i]);
            CHECK(memcmp(at, data, lengths[i]) == 0);
            at += lengths[i];
        }
    }
    CHECK_EQ(records.length, 0);
    CHECK_EQ(records.head, 0);
    spni_records_fini(&records);
}

static void test_the_largest_and_the_empty_record(void)
{
    spni_records records;
    CHECK_EQ(spni_records_init(&records, SPNI_RECORD_MAX), 0);
    CHECK_EQ(spni_records_room(&records), 1);
    spni_records_put(&records, data, 65536);
    CHECK_EQ(spni_records_room(&records), 0);
    CHECK_EQ(spni_records_take(&records, buffer, 65535, lengths, 1),
             -EMSGSIZE);
    CHECK_EQ(spni_records_take(&records, buffer, 65536, lengths, 1), 1);
    CHECK_EQ(lengths[0], 65536);
    spni_records_put(&records, data, 0);
    CHECK_EQ(spni_records_take(&records, buffer, 0, lengths, 2), 1);
    CHECK_EQ(lengths[0], 0);
    CHECK_EQ(spni_records_take(&records, buffer, 10, lengths, 2), 0);
    spni_records_fini(&records);
}

static void test_too_small_for_a_record(void)
{
    spni_records records;
    CHECK_EQ(spni_records_init(&records, SPNI_RECORD_MAX - 1), -EINVAL);
    spni_records_fini(&records);
}

int main(void)
{
    test_records_come_back_in_order_around_the_end();
    test_the_largest_and_the_empty_record();
    test_too_small_for_a_record();
    return 0;
}
