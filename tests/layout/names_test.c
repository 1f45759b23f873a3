#include "layout/names.h"
#include "support.h"

#include <string.h>

static void names_are_spelled_with_leading_zeros(void **state)
{
    (void)state;
    char name[LAYOUT_NAME_SIZE];
    layout_manifest_name(7, name);
    assert_string_equal(name, "manifest/00000000000000000007");
    layout_wal_name(UINT64_MAX, name);
    assert_string_equal(name, "wal/18446744073709551615");
    layout_table_name(1234567, name);
    assert_string_equal(name, "tables/34/0000000001234567");
    layout_table_name(9999999999999999u, name);
    assert_string_equal(name, "tables/99/9999999999999999");
}

static void a_table_lies_in_its_folder(void **state)
{
    (void)state;
    static const uint64_t numbers[] = {0, 1, 999, 1000, 99999, 100000, 7000123, 9999999999999999u};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        char name[LAYOUT_NAME_SIZE];
        char folder[LAYOUT_NAME_SIZE];
        layout_table_name(numbers[i], name);
        layout_table_folder(numbers[i], folder);
        assert_memory_equal(name, folder, strlen(folder));
        assert_int_equal(name[strlen(folder)], '/');
    }
}

static void folders_by_index_are_those_of_tables(void **state)
{
    (void)state;
    for (unsigned index = 0; index < LAYOUT_TABLE_FOLDERS; index++) {
        char by_index[LAYOUT_NAME_SIZE];
        char by_number[LAYOUT_NAME_SIZE];
        layout_table_folder_at(index, by_index);
        layout_table_folder((uint64_t)index * 1000 + 5, by_number);
        assert_string_equal(by_index, by_number);
    }
}

static void every_name_parses_to_its_number(void **state)
{
    (void)state;
    static const uint64_t numbers[] = {0, 1, 9, 10, 1234567, 9999999999999999u, UINT64_MAX};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        char name[LAYOUT_NAME_SIZE];
        uint64_t number = 5;
        layout_manifest_name(numbers[i], name);
        assert_true(layout_parse_manifest(name, &number) && number == numbers[i]);
        assert_false(layout_parse_wal(name, &number) || layout_parse_table(name, &number));
        layout_wal_name(numbers[i], name);
        assert_true(layout_parse_wal(name, &number) && number == numbers[i]);
        assert_false(layout_parse_manifest(name, &number) || layout_parse_table(name, &number));
        if (numbers[i] > 9999999999999999u)
            continue;
        layout_table_name(numbers[i], name);
        assert_true(layout_parse_table(name, &number) && number == numbers[i]);
        assert_false(layout_parse_manifest(name, &number) || layout_parse_wal(name, &number));
    }
}

static void any_other_spelling_is_no_name(void **state)
{
    (void)state;
    static const char *const spellings[] = {
        "",
        "/",
        "wal",
        "wal/",
        "wal/1",
        "wal/0000000000000000001",
        "wal/000000000000000000001",
        "wal/18446744073709551616",
        "wal/99999999999999999999",
        "wal/-0000000000000000001",
        "wal/+0000000000000000001",
        "wal/ 0000000000000000001",
        "wal/0000000000000000000x",
        "wal/00000000000000000001 ",
        "wal/a/00000000000000000001",
        "x/wal/00000000000000000001",
        "Wal/00000000000000000001",
        "manifest/1",
        "manifest/000000000000000000001",
        "tables/0000000000000001",
        "tables/01/0000000000000001",
        "tables/0/0000000000000001",
        "tables/00/00000000000000001",
        "tables/00/10000000000000000",
        "tables/00/18446744073709551615",
    };
    for (size_t i = 0; i < sizeof(spellings) / sizeof(spellings[0]); i++) {
        uint64_t number = 77;
        assert_false(layout_parse_wal(spellings[i], &number));
        assert_false(layout_parse_manifest(spellings[i], &number));
        assert_false(layout_parse_table(spellings[i], &number));
        assert_int_equal(number, 77);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_spelled_with_leading_zeros),
        cmocka_unit_test(a_table_lies_in_its_folder),
        cmocka_unit_test(folders_by_index_are_those_of_tables),
        cmocka_unit_test(every_name_parses_to_its_number),
        cmocka_unit_test(any_other_spelling_is_no_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
