#include "table/memtable_hash.h"

#include "core/hash.h"
#include "core/random.h"
#include "support.h"
#include "table/memtable_node.h"

enum { KEYS = 30000, KEY_SIZE = 8 };

/* A table over keys that are numbers. */
struct table {
    struct test_heap counted;
    strata_allocator allocator;
    struct region region;
    struct memtable_hash hash;
    uint32_t names[KEYS];
    uint64_t values[KEYS]; /* Hashes. */
};

static struct table *table_open(void)
{
    struct table *table = calloc(1, sizeof(*table));
    assert_non_null(table);
    table->allocator = test_heap_init(&table->counted);
    region_init(&table->region, &heap, 1 << 16);
    memtable_hash_init(&table->hash, &table->allocator, &table->region);
    return table;
}

static void table_close(struct table *table)
{
    assert_true(table->hash.bytes == table->counted.bytes);
    memtable_hash_release(&table->hash);
    test_heap_assert_empty(&table->counted);
    region_release(&table->region);
    free(table);
}

static struct bytes number_key(uint64_t number, uint8_t key[KEY_SIZE])
{
    store_u64(key, number);
    return bytes_of(key, KEY_SIZE);
}

/* A node of key `number`, as far as the table looks at it. */
static uint32_t table_node(struct table *table, uint64_t number)
{
    uint32_t name;
    uint8_t *bytes = region_take(&table->region, sizeof(struct memtable_node) + KEY_SIZE, &name);
    assert_non_null(bytes);
    const struct memtable_node node = {.lengths = KEY_SIZE};
    memcpy(bytes, &node, sizeof(node));
    (void)number_key(number, bytes + sizeof(node));
    return name;
}

static void table_insert(struct table *table, uint64_t number, uint64_t value)
{
    table->names[number] = table_node(table, number);
    table->values[number] = value;
    memtable_hash_insert(&table->hash, value, table->names[number]);
}

/* The keys of which the table says that the tree may have them; all others are found. */
static unsigned table_unsure(const struct table *table, uint64_t count)
{
    unsigned unsure = 0;
    for (uint64_t number = 0; number < count; number++) {
        uint8_t key[KEY_SIZE];
        const struct hash_found found =
            memtable_hash_find(&table->hash, number_key(number, key), table->values[number]);
        unsure += found.unsure;
        if (!found.unsure)
            assert_int_equal(found.name, table->names[number]);
    }
    return unsure;
}

static uint64_t true_hash(uint64_t number)
{
    uint8_t key[KEY_SIZE];
    return hash64(number_key(number, key), 0);
}

static void every_key_is_found_while_the_table_grows(void **state)
{
    (void)state;
    struct table *table = table_open();
    uint8_t key[KEY_SIZE];
    assert_true(memtable_hash_find(&table->hash, number_key(0, key), 1).unsure);
    assert_true(memtable_hash_create(&table->hash));
    assert_true(memtable_hash_find(&table->hash, number_key(0, key), 1).unsure);
    memtable_hash_open(&table->hash);
    for (uint64_t number = 0; number < KEYS; number++) {
        table_insert(table, number, true_hash(number));
        if (number % 5003 == 0 || number + 1 == KEYS)
            assert_int_equal(table_unsure(table, number + 1), 0);
    }
    for (uint64_t number = KEYS; number < 2 * KEYS; number++) {
        const struct hash_found found =
            memtable_hash_find(&table->hash, number_key(number, key), true_hash(number));
        assert_false(found.unsure);
        assert_int_equal(found.name, 0);
    }
    print_message("%zu bytes a key\n", table->hash.bytes / KEYS);
    assert_true(table->hash.bytes / KEYS < 24);
    table_close(table);
}

static void names_are_replaced(void **state)
{
    (void)state;
    struct table *table = table_open();
    assert_true(memtable_hash_create(&table->hash));
    memtable_hash_open(&table->hash);
    for (uint64_t number = 0; number < 5000; number++)
        table_insert(table, number, true_hash(number));
    for (uint64_t number = 0; number < 5000; number += 3) {
        const uint32_t old = table->names[number];
        table->names[number] = table_node(table, number);
        memtable_hash_replace(&table->hash, table->values[number], old, table->names[number]);
    }
    assert_int_equal(table_unsure(table, 5000), 0);
    table_close(table);
}

/* Keys of one hash, or of hashes that differ in few bits, cost time but neither answers nor memory. */
static void crowds_are_left_to_the_tree(void **state)
{
    (void)state;
    static const uint64_t masks[] = {0, 0xffff, (uint64_t)0x3f << 32, (uint64_t)0x3ff << 32,
                                     (uint64_t)0x3 << 62 | (uint64_t)0x3 << 32};
    for (size_t i = 0; i < sizeof(masks) / sizeof(masks[0]); i++) {
        struct table *table = table_open();
        assert_true(memtable_hash_create(&table->hash));
        memtable_hash_open(&table->hash);
        for (uint64_t number = 0; number < 3000; number++)
            table_insert(table, number, true_hash(number) & masks[i]);
        assert_true(table_unsure(table, 3000) > 0);
        assert_true(table->hash.bytes < 500000);
        table_close(table);
    }
}

static void without_memory_the_tree_may_have_what_is_missing(void **state)
{
    (void)state;
    for (uint64_t granted = 0; granted < 60; granted++) {
        struct table *table = table_open();
        table->counted.fail_at = granted + 1;
        table->counted.fail_from_then_on = 1;
        if (memtable_hash_create(&table->hash)) {
            memtable_hash_open(&table->hash);
            for (uint64_t number = 0; number < 6000; number++)
                table_insert(table, number, true_hash(number));
            const unsigned unsure = table_unsure(table, 6000);
            /* What could not grow for a while grows again. */
            table->counted.fail_at = 0;
            for (uint64_t number = 6000; number < 12000; number++)
                table_insert(table, number, true_hash(number));
            assert_true(table_unsure(table, 12000) <= unsure + 6000);
        }
        table_close(table);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key_is_found_while_the_table_grows),
        cmocka_unit_test(names_are_replaced),
        cmocka_unit_test(crowds_are_left_to_the_tree),
        cmocka_unit_test(without_memory_the_tree_may_have_what_is_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
