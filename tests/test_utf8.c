/* Texts of any bytes as UTF-8: what is a character, and that no two texts have the same form. */
#include "base/utf8.h"

#include "test.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

static const char *form_of(const char *text)
{
    static char form[64];
    char piece[UTF8_PIECE];
    *form = '\0';
    if (utf8_is_plain(text))
        return strcpy(form, text);
    for (size_t length; (length = utf8_escape(text, piece)); text += length)
        strcat(form, piece);
    return form;
}

/* The first and last characters of each length, and what lies just beyond them. */
static void characters_of_each_length(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t length;
    } rows[] = {
        {"", 0},
        {"\x01", 1},
        {"\x7f", 1},
        {"\x80", 0},
        {"\xc1\xbf", 0},
        {"\xc2\x80", 2},
        {"\xdf\xbf", 2},
        {"\xc2", 0},
        {"\xc2\x7f", 0},
        {"\xc2\xc0", 0},
        {"\xe0\x9f\xbf", 0},
        {"\xe0\xa0\x80", 3},
        {"\xed\x9f\xbf", 3},
        {"\xed\xa0\x80", 0},
        {"\xee\x80\x80", 3},
        {"\xef\xbf\xbf", 3},
        {"\xef\xbf", 0},
        {"\xf0\x8f\xbf\xbf", 0},
        {"\xf0\x90\x80\x80", 4},
        {"\xf4\x8f\xbf\xbf", 4},
        {"\xf4\x90\x80\x80", 0},
        {"\xf0\x90\x80", 0},
        {"\xf5\x80\x80\x80", 0},
        {"\xff", 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(utf8_length(rows[i].text), rows[i].length);
        assert_int_equal(utf8_is_plain(rows[i].text), rows[i].length || !*rows[i].text);
    }
}

static void forms(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"plain", "plain"},
        {"", ""},
        {"a\\b", "a\\b"},
        {"\\", "\\"},
        {"\\x", "\\x"},
        {"\\xg0", "\\xg0"},
        {"\\xe9", "\\\\xe9"},
        {"\\\\xE9", "\\\\\\\\xE9"},
        {"caf\xe9", "caf\\xe9"},
        {"a\\\xe9", "a\\\\\\xe9"},
        {"\xc3\xa9\xe9", "\xc3\xa9\\xe9"},
        {"\xe9\xc3", "\\xe9\\xc3"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_string_equal(form_of(rows[i][0]), rows[i][1]);
}

static bool is_escape(const char *at)
{
    return at[0] == '\\' && at[1] == 'x' && isxdigit((unsigned char)at[2]) && isxdigit((unsigned char)at[3]);
}

/* The text of a form, as its reader would have it back. */
static void read_back(const char *form, char *text)
{
    bool escaped = false;
    for (const char *at = form; *at; at++)
        escaped = escaped || is_escape(at);
    while (*form) {
        unsigned byte = (unsigned char)*form;
        int length = 1;
        if (escaped && is_escape(form))
            sscanf(form, "\\x%2x%n", &byte, &length);
        else if (escaped && form[0] == '\\')
            length = 2;
        *text++ = (char)byte;
        form += length;
    }
    *text = '\0';
}

/* Every text of up to six of these. */
static void every_text_can_be_had_back(void **state)
{
    (void)state;
    static const char bytes[] = {'\\', 'x', 'e', '9', '\xe9', '\xc3', '\xa9'};
    enum { BYTES = sizeof bytes, LONGEST = 6 };
    unsigned count = 1;
    for (unsigned length = 0; length <= LONGEST; length++, count *= BYTES)
        for (unsigned number = 0; number < count; number++) {
            char text[LONGEST + 1] = "";
            char back[64];
            for (unsigned i = 0, rest = number; i < length; i++, rest /= BYTES)
                text[i] = bytes[rest % BYTES];
            const char *form = form_of(text);
            for (const char *at = form; *at; at += utf8_length(at))
                assert_int_not_equal(utf8_length(at), 0);
            read_back(form, back);
            assert_string_equal(back, text);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(characters_of_each_length),
        cmocka_unit_test(forms),
        cmocka_unit_test(every_text_can_be_had_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
