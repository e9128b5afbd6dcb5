# What the scripts in this folder need, by Debian's names; sourced, not run.
# shellcheck shell=sh disable=SC2034

packages_build="gcc libc6-dev binutils meson ninja-build pkg-config
    libck-dev libjemalloc-dev libpcap-dev zlib1g-dev libjansson-dev libzstd-dev libinih-dev libmd-dev uthash-dev libndpi-dev"
packages_programs="tshark tcpdump libndpi-bin sqlite3 git perl nginx-light redis-server"
packages_check="$packages_build $packages_programs g++ libcmocka-dev valgrind"
packages_check_all="$packages_check libbenchmark-dev gnuplot-nox clang libclang-rt-14-dev clang-format clang-tidy spin"
packages_bench="$packages_build g++ libbenchmark-dev gnuplot-nox libjemalloc2 libmimalloc-dev libtcmalloc-minimal4 libtbbmalloc2
    libdpdk-dev libwireshark-dev libglib2.0-dev libapr1-dev libtalloc-dev"
packages_coverage="$packages_build libcmocka-dev tshark gcovr"

# install_missing PACKAGE...: what is not there is installed, where this user may; else says exactly what to install.
install_missing() {
    command -v dpkg-query >/dev/null || {
        echo "This is not Debian. Install what these packages hold: $*" >&2
        return 1
    }
    missing=
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' ||
            missing="$missing $package"
    done
    [ -z "$missing" ] && return 0
    if [ "$(id -u)" = 0 ]; then
        as_root=
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        as_root="sudo"
    else
        echo "Some packages are missing. Install them, then try again:" >&2
        echo "    sudo apt-get install$missing" >&2
        return 1
    fi
    echo "installing:$missing"
    # shellcheck disable=SC2086  # lists of words
    {
        $as_root apt-get update -qq
        $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
    }
}

# configure FOLDER OPTION...: a fresh one is set up, one that is there is brought up to date.
configure() {
    folder=$1
    shift
    if [ -f "$folder/build.ninja" ]; then
        meson configure "$folder" "$@" >/dev/null
    else
        meson setup "$folder" "$@" >/dev/null
    fi
}
