#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Makes a Linux guest: Debian's kernel, fetched once, and a root of busybox, our init and a
# small driver. tests/qemu/guest.sh ROOT; leaves ROOT/guest/vmlinuz and ROOT/guest/initrd.
# The last line on standard error says why it could not.
set -u
here=$(dirname "$(realpath "$0")")
mkdir -p "$1/guest" || exit 1
echo '*' >"$1/.gitignore"
guest=$(realpath "$1/guest")
log=$guest/guest.log

could_not() {
	echo "$*" >&2
	exit 1
}

# The packages of the kernel proper: the one that the image depends on, or its parts.
kernel_packages() {
	for package; do
		apt-cache depends "$package" |
			sed -n 's/^ *Depends: \(linux-\(image\|binary\|modules\)-[0-9].*\)/\1/p'
	done
}

fetch_kernel() {
	first=$(kernel_packages linux-image-cloud-amd64)
	[ -n "$first" ] || {
		[ "$(id -u)" = 0 ] && apt-get update -q
		first=$(kernel_packages linux-image-cloud-amd64)
	} >>"$log" 2>&1
	[ -n "$first" ] || could_not "apt knows no linux-image-cloud-amd64"
	# shellcheck disable=SC2086
	packages="$first $(kernel_packages $first)"
	rm -rf "$guest/kernel"
	mkdir -p "$guest/kernel"
	# shellcheck disable=SC2086
	(cd "$guest/kernel" && timeout 300 apt-get download $packages) >>"$log" 2>&1 ||
		could_not "the kernel cannot be fetched: $(grep '^E: ' "$log" | tail -n 1)"
	for deb in "$guest"/kernel/*.deb; do
		dpkg-deb -x "$deb" "$guest/kernel" && rm "$deb"
	done
	cp "$guest"/kernel/boot/vmlinuz-* "$guest/vmlinuz" ||
		could_not "there is no kernel in $packages"
}

: >"$log"
[ -s "$guest/vmlinuz" ] || fetch_kernel
command -v cpio >/dev/null || could_not "cpio is not installed"
[ -x /bin/busybox ] || could_not "busybox-static is not installed"

root=$guest/root
rm -rf "$root"
mkdir -p "$root/bin" "$root/proc" "$root/sys" "$root/dev" "$root/tmp" "$root/modules"
cp /bin/busybox "$root/bin/" || could_not "the guest's root cannot be made"
install -m 755 "$here/init" "$root/init" || could_not "the guest's root cannot be made"
for module in irqbypass uio uio_pci_generic vfio vfio_virqfd vfio_iommu_type1 \
	vfio-pci-core vfio-pci; do
	find "$guest/kernel" -name "$module.ko*" -exec cp {} "$root/modules/" \;
done
xz -d "$root"/modules/*.xz 2>/dev/null
"${CC:-gcc}" -static -O2 -Wall -Wextra -Werror -o "$root/bin/driver" "$here/driver.c" \
	>>"$log" 2>&1 || could_not "the guest's driver cannot be built: $(tail -n 1 "$log")"
(cd "$root" && find . | cpio --quiet -o -H newc | gzip -1) >"$guest/initrd" ||
	could_not "the guest's root cannot be packed"
