/* SPDX-License-Identifier: Apache-2.0 */
#include "check.h"
#include "spead/sequel.h"
#include "spead_build.h"

static uint8_t data[4096];
static uint8_t payload[64];

/* A packet of a heap of 640 bytes, with an item of the value `item`. */
static size_t make(unsigned bits, uint64_t cnt, uint64_t offset, size_t length,
                   uint64_t item)
{
    build b = build_begin(data, bits);
    build_specials(&b, cnt, 640, offset, length);
    build_pointer(&b, true, 0x40, item);
    build_payload(&b, payload, length);
    return b.length;
}

static void learn(spni_sequel *sequel, unsigned bits, uint64_t cnt,
                  uint64_t offset, size_t length)
{
    spni_assembly *assembly = spni_assembly_new();
    spni_packet packet;

    CHECK(assembly != NULL);
    CHECK_EQ(spni_packet_decode(data, make(bits, cnt, offset, length, 7),
                                &packet),
             SPNI_DECODED);
    spni_sequel_learn(sequel, assembly, &packet);
    CHECK_EQ(assembly->sequel_version, sequel->version);
    spni_assembly_free(assembly);
    sequel->assembly = NULL;
}

static bool matches(const spni_sequel *sequel, uint64_t cnt, uint64_t offset)
{
    uint64_t found_cnt, found_offset;
    bool is_match =
        spni_sequel_match(sequel, data, &found_cnt, &found_offset);

    CHECK_EQ(found_cnt, cnt);
    CHECK_EQ(found_offset, offset);
    return is_match;
}

static void counter_and_offset_may_differ(void)
{
    for (unsigned bits = 16; bits <= 56; bits += 8) {
        spni_sequel sequel = {0};
        uint64_t top = (UINT64_C(1) << bits) - 1;

        learn(&sequel, bits, 1, 0, 64);
        CHECK_EQ(sequel.payload_length, 64);
        make(bits, 1, 64, 64, 7);
        CHECK(matches(&sequel, 1, 64));
        make(bits, top, 576, 64, 7);
        CHECK(matches(&sequel, top, 576));
    }
}

static void all_else_must_agree(void)
{
    spni_sequel sequel = {0};

    learn(&sequel, 40, 1, 0, 64);
    make(40, 1, 64, 64, 8);
    CHECK(!matches(&sequel, 1, 64));
    make(40, 1, 64, 63, 7);
    CHECK(!matches(&sequel, 1, 64));
    make(40, 1, 577, 64, 7); /* beyond HEAP_LEN */
    CHECK(!matches(&sequel, 1, 577));
}

static void a_header_that_matches_keeps_its_version(void)
{
    spni_sequel sequel = {0};

    learn(&sequel, 40, 1, 0, 64);
    learn(&sequel, 40, 2, 64, 64);
    CHECK_EQ(sequel.version, 1);
    learn(&sequel, 40, 2, 128, 32);
    CHECK_EQ(sequel.version, 2);
    learn(&sequel, 48, 2, 128, 32);
    CHECK_EQ(sequel.version, 3);
    make(48, 3, 160, 32, 7);
    CHECK(matches(&sequel, 3, 160));
}

int main(void)
{
    counter_and_offset_may_differ();
    all_else_must_agree();
    a_header_that_matches_keeps_its_version();
    return 0;
}
