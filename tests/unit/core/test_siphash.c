/* SipHash against the published vectors (SipHash-2-4, in the reference code of the paper's
 * authors), and against a straightforward implementation in Python (SipHash-1-3). The key is 00 01
 * .. 0f, the n-th input 00 01 .. n-1. */
#include "broker/core/siphash.h"
#include "tests/support/test.h"

static const struct siphash_key key = {{0x0706050403020100, 0x0f0e0d0c0b0a0908}};

static const uint64_t wants24[64] = {
    0x726fdb47dd0e0e31, 0x74f839c593dc67fd, 0x0d6c8009d9a94f5a, 0x85676696d7fb7e2d,
    0xcf2794e0277187b7, 0x18765564cd99a68d, 0xcbc9466e58fee3ce, 0xab0200f58b01d137,
    0x93f5f5799a932462, 0x9e0082df0ba9e4b0, 0x7a5dbbc594ddb9f3, 0xf4b32f46226bada7,
    0x751e8fbc860ee5fb, 0x14ea5627c0843d90, 0xf723ca908e7af2ee, 0xa129ca6149be45e5,
    0x3f2acc7f57c29bdb, 0x699ae9f52cbe4794, 0x4bc1b3f0968dd39c, 0xbb6dc91da77961bd,
    0xbed65cf21aa2ee98, 0xd0f2cbb02e3b67c7, 0x93536795e3a33e88, 0xa80c038ccd5ccec8,
    0xb8ad50c6f649af94, 0xbce192de8a85b8ea, 0x17d835b85bbb15f3, 0x2f2e6163076bcfad,
    0xde4daaaca71dc9a5, 0xa6a2506687956571, 0xad87a3535c49ef28, 0x32d892fad841c342,
    0x7127512f72f27cce, 0xa7f32346f95978e3, 0x12e0b01abb051238, 0x15e034d40fa197ae,
    0x314dffbe0815a3b4, 0x027990f029623981, 0xcadcd4e59ef40c4d, 0x9abfd8766a33735c,
    0x0e3ea96b5304a7d0, 0xad0c42d6fc585992, 0x187306c89bc215a9, 0xd4a60abcf3792b95,
    0xf935451de4f21df2, 0xa9538f0419755787, 0xdb9acddff56ca510, 0xd06c98cd5c0975eb,
    0xe612a3cb9ecba951, 0xc766e62cfcadaf96, 0xee64435a9752fe72, 0xa192d576b245165a,
    0x0a8787bf8ecb74b2, 0x81b3e73d20b49b6f, 0x7fa8220ba3b2ecea, 0x245731c13ca42499,
    0xb78dbfaf3a8d83bd, 0xea1ad565322a1a0b, 0x60e61c23a3795013, 0x6606d7e446282b93,
    0x6ca4ecb15c5f91e1, 0x9f626da15c9625f3, 0xe51b38608ef25f57, 0x958a324ceb064572};

static const uint64_t wants13[24] = {
    0xabac0158050fc4dc, 0xc9f49bf37d57ca93, 0x82cb9b024dc7d44d, 0x8bf80ab8e7ddf7fb,
    0xcf75576088d38328, 0xdef9d52f49533b67, 0xc50d2b50c59f22a7, 0xd3927d989bb11140,
    0x369095118d299a8e, 0x25a48eb36c063de4, 0x79de85ee92ff097f, 0x70c118c1f94dc352,
    0x78a384b157b4d9a2, 0x306f760c1229ffa7, 0x605aa111c0f95d34, 0xd320d86d2a519956,
    0xcc4fdd1a7d908b66, 0x9cf2689063dbd80c, 0x8ffc389cb473e63e, 0xf21f9de58d297d1c,
    0xc0dc2f46a6cce040, 0xb992abfe2b45f844, 0x7ffe7b9ba320872e, 0x525a0e7fdae6c123};

/* One byte off, so that no word of it is aligned. */
static void
fill(uint8_t bytes[1001])
{
    for (size_t i = 0; i < 1000; i++) {
        bytes[i + 1] = (uint8_t)i;
    }
}

Test(siphash, the_published_vectors_of_2_4_hold)
{
    uint8_t bytes[1001];
    fill(bytes);
    for (size_t n = 0; n < 64; n++) {
        const uint64_t got = siphash24(&key, bytes + 1, n);
        cr_assert(got == wants24[n], "%zu bytes: %016llx", n, (unsigned long long)got);
    }
    cr_assert(siphash24(&key, bytes + 1, 1000) == 0xdb9b3ed69e31c9a6, "1000 bytes");
}

Test(siphash, the_values_of_another_implementation_of_1_3_hold)
{
    uint8_t bytes[1001];
    fill(bytes);
    for (size_t n = 0; n < 24; n++) {
        const uint64_t got = siphash13(&key, bytes + 1, n);
        cr_assert(got == wants13[n], "%zu bytes: %016llx", n, (unsigned long long)got);
    }
    cr_assert(siphash13(&key, bytes + 1, 1000) == 0x2cf8d9d4f270cadf, "1000 bytes");
}

Test(siphash, another_key_gives_another_value)
{
    static const struct siphash_key others[] = {{{0x0706050403020101, 0x0f0e0d0c0b0a0908}},
                                                {{0x0706050403020100, 0x8f0e0d0c0b0a0908}}};
    for (size_t i = 0; i < 2; i++) {
        cr_assert(siphash24(&others[i], "abc", 3) != siphash24(&key, "abc", 3), "2-4, key %zu", i);
        cr_assert(siphash13(&others[i], "abc", 3) != siphash13(&key, "abc", 3), "1-3, key %zu", i);
    }
}
