#!/bin/sh
# private.sh OUTPUT CC...: one object out of libjemalloc_pic.a that shows only what lib/jemalloc.c uses,
# under names that cannot meet another jemalloc or the program's malloc.
set -eu

output=$1
shift
archive=$("$@" -print-file-name=libjemalloc_pic.a)
[ -f "$archive" ] || { echo "libjemalloc_pic.a not found: install libjemalloc-dev" >&2; exit 1; }

names='mallocx dallocx nallocx mallctl malloc_conf'
# An option that 5.3.0 documents, but does not look for in malloc_conf.
rename='--redefine-sym je_opt_cache_oblivious=keyslab_je_opt_cache_oblivious
    --keep-global-symbol=keyslab_je_opt_cache_oblivious'
wanted=
for name in $names; do
    wanted="$wanted -u $name"
    rename="$rename --redefine-sym $name=keyslab_je_$name --keep-global-symbol=keyslab_je_$name"
done

whole=$output.whole
trap 'rm -f "$whole"' EXIT
# shellcheck disable=SC2086  # lists of words
ld -r $wanted "$archive" -o "$whole"
# shellcheck disable=SC2086
objcopy --strip-debug $rename "$whole" "$output"
