#!/usr/bin/env bash
# An aarch64 machine in a folder, for correctness and never for speed: a Python of Debian's under qemu-user, with
# the runtimes' own aarch64 wheels. Everything is fetched from where this machine gets its packages anyhow, by
# apt-get and pip; nothing is installed outside the folder, and root is not needed.
#
#   bash machine.sh FOLDER CONSTRAINTS
set -euo pipefail

# qemu before 9 shows programs the host's /proc/cpuinfo, on which XNNPACK and ONNX Runtime crash.
SUITE=trixie
PACKAGES=(libc6 libgcc-s1 libstdc++6 zlib1g libexpat1 libffi8 libssl3t64 libbz2-1.0 liblzma5
    libpython3.13-minimal libpython3.13-stdlib python3.13-minimal)
WHEELS=(numpy ai-edge-litert onnxruntime openvino)
PURE=(flatbuffers packaging typing_extensions)

mkdir -p "$1"
folder=$(cd "$1" && pwd)
constraints=$(realpath "$2")
# Only what an earlier run of this left is removed.
if [ -n "$(ls -A "$folder")" ] && [ ! -e "$folder/.edgekit-aarch64" ]; then
    echo "$folder holds other files, and no machine that this made: remove it, or name another" >&2
    exit 2
fi
touch "$folder/.edgekit-aarch64"
rm -rf "${folder:?}"/*

# apt ARCHITECTURE ARGUMENTS...: apt-get with a state of its own.
apt() {
    local state="$folder/apt/$1" architecture=$1
    shift
    mkdir -p "$state/lists/partial" "$state/cache/archives/partial"
    touch "$state/status"
    # The mirror that the machine has (the first paragraph), at the suite that is asked for.
    sed -E -e "s/^Suites:.*/Suites: $SUITE/" -e "/^\$/q" /etc/apt/sources.list.d/debian.sources >"$state/debian.sources"
    apt-get -qq -o APT::Architecture="$architecture" -o APT::Architectures::="$architecture" \
        -o Dir::State="$state" -o Dir::State::status="$state/status" -o Dir::Cache="$state/cache" \
        -o Dir::Etc::sourcelist="$state/debian.sources" -o Dir::Etc::sourceparts=- \
        -o APT::Sandbox::User=root "$@"
}

mkdir -p "$folder"/{debs,root,wheels,site,qemu}
cd "$folder/debs"
apt amd64 update
apt amd64 download qemu-user
dpkg-deb -x qemu-user_*.deb "$folder/qemu"
apt arm64 update
apt arm64 download "${PACKAGES[@]}"
mkdir -p "$folder/root/usr/lib"
ln -s usr/lib "$folder/root/lib"  # what Debian's base-files would bring
for package in *_arm64.deb; do dpkg-deb -x "$package" "$folder/root"; done
mv "$folder/qemu/usr/bin/qemu-aarch64" "$folder/qemu-aarch64"

platforms=()
for glibc in 2_17 2_27 2_28 2_31 2_34 2_35 2014; do platforms+=(--platform "manylinux${glibc/#2_/_2_}_aarch64"); done
python3 -m pip download -q --disable-pip-version-check --no-deps --only-binary=:all: --python-version 3.13 \
    -c "$constraints" -d "$folder/wheels" "${platforms[@]}" "${WHEELS[@]}"
python3 -m pip download -q --disable-pip-version-check --no-deps --only-binary=:all: --python-version 3.13 \
    -c "$constraints" -d "$folder/wheels" "${PURE[@]}"
for wheel in "$folder"/wheels/*.whl; do python3 -m zipfile -e "$wheel" "$folder/site"; done

# Under its own name once it has answered: make takes a file that is there for a whole machine.
cat >"$folder/python3.new" <<END
#!/bin/sh
export PYTHONPATH='$folder/site'
exec '$folder/qemu-aarch64' -cpu cortex-a76 -L '$folder/root' '$folder/root/usr/bin/python3.13' "\$@"
END
chmod +x "$folder/python3.new"
cd "$folder"
rm -r "$folder"/{apt,debs,qemu,wheels}
"$folder/python3.new" -c 'import platform; assert platform.machine() == "aarch64"'
mv "$folder/python3.new" "$folder/python3"
