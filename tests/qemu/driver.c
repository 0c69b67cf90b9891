/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A driver of the educational device in the guest, on VFIO: takes MSIs, and moves memory
 * through the IOMMU. driver GROUP ADDRESS; prints a line for what it found.
 */
#include <fcntl.h>
#include <linux/vfio.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE	4096u
#define IOVA	0x200000u
#define BUFFER	0x40000u
#define COMMAND 4 /* in configuration space */

static int device;
static uint64_t bar0, config;

static void need(int holds, const char *what)
{
	if (holds)
		return;
	printf("driver: %s: %m\n", what);
	exit(1);
}

static uint64_t get(uint64_t at, size_t width)
{
	uint64_t v = 0;

	need(pread(device, &v, width, (off_t)(bar0 + at)) == (ssize_t)width, "read");
	return v;
}

static void put(uint64_t at, uint64_t v, size_t width)
{
	need(pwrite(device, &v, width, (off_t)(bar0 + at)) == (ssize_t)width, "write");
}

static uint64_t region(uint32_t index)
{
	struct vfio_region_info r = { .argsz = sizeof(r), .index = index };

	need(ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &r) == 0, "region");
	return r.offset;
}

static void open_device(const char *group_path, const char *address, void *memory)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)memory,
		.iova = IOVA,
		.size = 2 * PAGE,
	};
	int container = open("/dev/vfio/vfio", O_RDWR);
	int group = open(group_path, O_RDWR);
	uint16_t command;

	need(container >= 0 && group >= 0, "open");
	need(ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) == 0, "container");
	need(ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU) == 0, "IOMMU");
	need(ioctl(container, VFIO_IOMMU_MAP_DMA, &map) == 0, "map");
	device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, address);
	need(device >= 0, "device");
	bar0 = region(VFIO_PCI_BAR0_REGION_INDEX);
	config = region(VFIO_PCI_CONFIG_REGION_INDEX);
	need(pread(device, &command, 2, (off_t)(config + COMMAND)) == 2, "command");
	command |= 6; /* memory, bus master */
	need(pwrite(device, &command, 2, (off_t)(config + COMMAND)) == 2, "command");
}

static int attach(uint32_t index)
{
	uint64_t space[(sizeof(struct vfio_irq_set) + sizeof(int) + 7) / 8];
	struct vfio_irq_set *set = (void *)space;
	int fd = eventfd(0, EFD_CLOEXEC);

	*set = (struct vfio_irq_set){
		.argsz = sizeof(*set) + sizeof(fd),
		.flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
		.index = index,
		.count = 1,
	};
	memcpy(set->data, &fd, sizeof(fd));
	need(fd >= 0 && ioctl(device, VFIO_DEVICE_SET_IRQS, set) == 0, "interrupts");
	return fd;
}

/* 1 if an interrupt came within two seconds. */
static int came(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint64_t n;

	return poll(&p, 1, 2000) == 1 && read(fd, &n, sizeof(n)) == sizeof(n);
}

static void transfer(uint64_t from, uint64_t to, uint64_t command)
{
	put(0x80, from, 8);
	put(0x88, to, 8);
	put(0x90, PAGE, 8);
	put(0x98, command, 8);
}

int main(int argc, char **argv)
{
	uint8_t *memory = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd, n = 0, same;

	need(argc == 3 && memory != MAP_FAILED, "arguments");
	open_device(argv[1], argv[2], memory);
	fd = attach(VFIO_PCI_MSI_IRQ_INDEX);
	for (int i = 0; i < 10; i++) {
		put(0x60, 1, 4);
		n += came(fd);
		put(0x64, 1, 4);
	}
	printf("msi %d\n", n);
	for (size_t i = 0; i < PAGE; i++)
		memory[i] = (uint8_t)(i * 7 + i / 256);
	transfer(IOVA, BUFFER, 5);
	n = came(fd);
	put(0x64, 0x100, 4);
	transfer(BUFFER, IOVA + PAGE, 7);
	n += came(fd);
	put(0x64, 0x100, 4);
	same = memcmp(memory, memory + PAGE, PAGE) == 0;
	printf("dma %d %s\n", n, same ? "same" : "different");
	printf("pending 0x%llx\n", (unsigned long long)get(0x24, 4));
	return 0;
}
