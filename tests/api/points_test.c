/* The text of points in time. */
#include "api/scene.h"

static void texts_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text, *branch, *tag;
        uint64_t version;
        int64_t time_us;
    } cases[] = {
        {"main", "main", NULL, 0, 0},
        {"a/b c", "a/b c", NULL, 0, 0},
        {"main@1234", "main", NULL, 1234, 0},
        {"main@0012", "main", NULL, 12, 0},
        {"main@18446744073709551615", "main", NULL, UINT64_MAX, 0},
        {"@tag", NULL, "tag", 0, 0},
        {"m@2026-11-20T07:30:00Z", "m", NULL, 0, 1795159800000000},
        {"m@2026-11-20T07:30:00.5Z", "m", NULL, 0, 1795159800500000},
        {"m@2026-11-20T07:30:00.123456Z", "m", NULL, 0, 1795159800123456},
        {"m@1970-01-01T00:00:01Z", "m", NULL, 0, 1000000},
        {"m@1969-12-31T23:59:59Z", "m", NULL, 0, -1000000},
        {"m@2000-02-29T00:00:00Z", "m", NULL, 0, 951782400000000},
        {"m@0001-01-01T00:00:00Z", "m", NULL, 0, -62135596800000000},
        {"m@9999-12-31T23:59:59.999999Z", "m", NULL, 0, 253402300799999999},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char name[256] = "";
        strata_point point = {0};
        expect_ok(strata_point_parse(cases[i].text, name, &point));
        assert_int_equal(point.version, cases[i].version);
        assert_int_equal(point.time_us, cases[i].time_us);
        const char *wanted = cases[i].branch != NULL ? cases[i].branch : cases[i].tag;
        assert_string_equal(name, wanted);
        assert_ptr_equal(point.branch, cases[i].branch != NULL ? name : NULL);
        assert_ptr_equal(point.tag, cases[i].tag != NULL ? name : NULL);
    }
}

static void faults_are_placed(void **state)
{
    (void)state;
    static const struct {
        const char *text, *said;
    } cases[] = {
        {"", "byte 1"},
        {"@", "byte 2"},
        {"main@", "byte 6"},
        {"main@0", "byte 6"},
        {"main@x", "byte 6"},
        {"main@12x", "byte 8"},
        {"main@-1", "byte 6"},
        {"main@18446744073709551616", "byte 6"},
        {"main@1@2", "byte 7"},
        {"@tag@1", "byte 5"},
        {"m@2026-13-01T00:00:00Z", "byte 8"},
        {"m@2026-00-01T00:00:00Z", "byte 8"},
        {"m@2026-02-29T00:00:00Z", "byte 11"},
        {"m@2026-1-01T00:00:00Z", "byte 9"},
        {"m@2026-01-01", "byte 13"},
        {"m@2026-01-01 00:00:00Z", "byte 13"},
        {"m@2026-01-01T24:00:00Z", "byte 14"},
        {"m@2026-01-01T00:60:00Z", "byte 17"},
        {"m@2026-01-01T00:00:60Z", "byte 20"},
        {"m@2026-01-01T00:00:00", "byte 22"},
        {"m@2026-01-01T00:00:00.Z", "byte 23"},
        {"m@2026-01-01T00:00:00.1234567Z", "byte 29"},
        {"m@2026-01-01T00:00:00Zx", "byte 23"},
        {"m@0000-01-01T00:00:00Z", "byte 3"},
        {"m@1970-01-01T00:00:00Z", "1970"},
        {"-main", "dash"},
        {"ma\x01in", "byte 3 of the branch is a control character"},
        {"ma\xc2\x85in", "byte 3 of the branch is a control character"},
        {"ma\xffin", "byte 3 of the branch is not valid UTF-8"},
        {"@\xc0\x80", "byte 1 of the tag"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char name[256] = "untouched";
        strata_point point = {.version = 77};
        expect_invalid(strata_point_parse(cases[i].text, name, &point), cases[i].said);
        assert_string_equal(name, "untouched");
        assert_int_equal(point.version, 77);
    }
}

static void names_of_the_greatest_length_fit(void **state)
{
    (void)state;
    char text[300], name[256];
    strata_point point;
    memset(text, 'x', sizeof(text));
    memcpy(text + 255, "@7", 3);
    expect_ok(strata_point_parse(text, name, &point));
    assert_int_equal(strlen(name), 255);
    assert_int_equal(point.version, 7);
    memcpy(text + 255, "x@7", 4);
    expect_invalid(strata_point_parse(text, name, &point), "255");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_read),
        cmocka_unit_test(faults_are_placed),
        cmocka_unit_test(names_of_the_greatest_length_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
