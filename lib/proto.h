/* SPDX-License-Identifier: BSD-3-Clause */
/* Numbers of the vfio-user protocol: commands, flags, sizes, indexes and limits. */
#ifndef VUSER_PROTO_H
#define VUSER_PROTO_H

/* Versions and sizes of the header. */
#define VUSER_PROTO_MAJOR   0
#define VUSER_PROTO_MINOR   2
#define VUSER_HEADER_SIZE   16u

/* Header flags. */
#define VUSER_TYPE_MASK	    0xfu
#define VUSER_TYPE_COMMAND  0u
#define VUSER_TYPE_REPLY    1u
#define VUSER_FLAG_NO_REPLY 0x10u
#define VUSER_FLAG_ERROR    0x20u

/* Commands. Number 14 was DIRTY_PAGES; it is retired and must be refused. */
enum vuser_command {
	VUSER_CMD_VERSION = 1,
	VUSER_CMD_DMA_MAP = 2,
	VUSER_CMD_DMA_UNMAP = 3,
	VUSER_CMD_DEVICE_GET_INFO = 4,
	VUSER_CMD_DEVICE_GET_REGION_INFO = 5,
	VUSER_CMD_DEVICE_GET_REGION_IO_FDS = 6,
	VUSER_CMD_DEVICE_GET_IRQ_INFO = 7,
	VUSER_CMD_DEVICE_SET_IRQS = 8,
	VUSER_CMD_REGION_READ = 9,
	VUSER_CMD_REGION_WRITE = 10,
	VUSER_CMD_DMA_READ = 11,
	VUSER_CMD_DMA_WRITE = 12,
	VUSER_CMD_DEVICE_RESET = 13,
	VUSER_CMD_REGION_WRITE_MULTI = 15,
	VUSER_CMD_DEVICE_FEATURE = 16,
	VUSER_CMD_MIG_DATA_READ = 17,
	VUSER_CMD_MIG_DATA_WRITE = 18,
	VUSER_CMD_LIMIT = 19, /* one above the largest number */
};

/* DEVICE_GET_INFO flags. */
#define VUSER_DEVICE_RESET	      (1u << 0)
#define VUSER_DEVICE_PCI	      (1u << 1)

/* DEVICE_GET_REGION_INFO flags, and ids of its capabilities. */
#define VUSER_REGION_READ	      (1u << 0)
#define VUSER_REGION_WRITE	      (1u << 1)
#define VUSER_REGION_MMAP	      (1u << 2)
#define VUSER_REGION_CAPS	      (1u << 3)

#define VUSER_REGIONCAP_SPARSE_MMAP   1u
#define VUSER_REGIONCAP_TYPE	      2u
#define VUSER_REGIONCAP_MSIX_MAPPABLE 3u

/* Regions of a PCI device. */
enum vuser_pci_region {
	VUSER_REGION_BAR0 = 0,
	VUSER_REGION_BAR5 = 5,
	VUSER_REGION_ROM = 6,
	VUSER_REGION_CONFIG = 7,
	VUSER_REGION_VGA = 8,
	VUSER_PCI_REGIONS = 9,
};

/* Interrupt types of a PCI device. */
enum vuser_pci_irq {
	VUSER_IRQ_INTX = 0,
	VUSER_IRQ_MSI = 1,
	VUSER_IRQ_MSIX = 2,
	VUSER_IRQ_ERR = 3,
	VUSER_IRQ_REQ = 4,
	VUSER_PCI_IRQS = 5,
};

/* DEVICE_GET_IRQ_INFO flags. */
#define VUSER_IRQ_EVENTFD		 (1u << 0)
#define VUSER_IRQ_MASKABLE		 (1u << 1)
#define VUSER_IRQ_AUTOMASKED		 (1u << 2)
#define VUSER_IRQ_NORESIZE		 (1u << 3)

/* DEVICE_SET_IRQS flags: exactly one kind of data and exactly one action. */
#define VUSER_SET_IRQS_DATA_NONE	 (1u << 0)
#define VUSER_SET_IRQS_DATA_BOOL	 (1u << 1)
#define VUSER_SET_IRQS_DATA_EVENTFD	 (1u << 2)
#define VUSER_SET_IRQS_DATA_MASK	 0x7u
#define VUSER_SET_IRQS_MASK		 (1u << 3)
#define VUSER_SET_IRQS_UNMASK		 (1u << 4)
#define VUSER_SET_IRQS_TRIGGER		 (1u << 5)
#define VUSER_SET_IRQS_ACTION_MASK	 0x38u

/* DEVICE_GET_REGION_IO_FDS: types of an entry. */
#define VUSER_IO_FD_IOEVENTFD		 0u
#define VUSER_IO_FD_IOREGIONFD		 1u
#define VUSER_IO_FD_SHADOW		 2u

/* DMA_MAP and DMA_UNMAP flags. MMAP and FILE_IO are sent by newer peers. */
#define VUSER_DMA_READABLE		 (1u << 0)
#define VUSER_DMA_WRITABLE		 (1u << 1)
#define VUSER_DMA_MMAP			 (1u << 2)
#define VUSER_DMA_FILE_IO		 (1u << 3)
#define VUSER_DMA_UNMAP_DIRTY		 (1u << 0)
#define VUSER_DMA_UNMAP_ALL		 (1u << 1)

/* DEVICE_FEATURE flags and features. */
#define VUSER_FEATURE_MASK		 0xffffu
#define VUSER_FEATURE_GET		 (1u << 16)
#define VUSER_FEATURE_SET		 (1u << 17)
#define VUSER_FEATURE_PROBE		 (1u << 18)

#define VUSER_FEATURE_MIGRATION		 1u
#define VUSER_FEATURE_MIG_DEVICE_STATE	 2u
#define VUSER_FEATURE_DMA_LOGGING_START	 6u
#define VUSER_FEATURE_DMA_LOGGING_STOP	 7u
#define VUSER_FEATURE_DMA_LOGGING_REPORT 8u

/* Feature 1: what migration the device can do. */
#define VUSER_MIGRATION_STOP_COPY	 (1u << 0)
#define VUSER_MIGRATION_P2P		 (1u << 1)
#define VUSER_MIGRATION_PRE_COPY	 (1u << 2)

/* Feature 2: the state of the device. */
enum vuser_device_state {
	VUSER_STATE_ERROR = 0,
	VUSER_STATE_STOP = 1,
	VUSER_STATE_RUNNING = 2,
	VUSER_STATE_STOP_COPY = 3,
	VUSER_STATE_RESUMING = 4,
	VUSER_STATE_RUNNING_P2P = 5,
	VUSER_STATE_PRE_COPY = 6,
	VUSER_STATE_PRE_COPY_P2P = 7,
	VUSER_STATES = 8,
};

/* Capabilities: what holds when a member is absent, and the limits of a reply. */
#define VUSER_DEFAULT_MSG_FDS	 1u
#define VUSER_DEFAULT_DATA_XFER	 1048576u
#define VUSER_DEFAULT_DMA_MAPS	 65535u
#define VUSER_DEFAULT_PGSIZES	 4096u
#define VUSER_DEFAULT_MIG_PGSIZE 4096u
#define VUSER_DEFAULT_MIG_BITMAP 268435456u

#define VUSER_LIMIT_MSG_FDS	 16u
#define VUSER_LIMIT_DATA_XFER	 (64u << 20)
#define VUSER_PAGE_SIZE		 4096u

/* Entries of REGION_WRITE_MULTI: at most this many in one message, this many bytes each.
 */
#define VUSER_MULTI_WRITES	 200u
#define VUSER_MULTI_BYTES	 8u

/*
 * Limits that a peer could otherwise drive without end. The counts of regions, interrupt
 * types and capabilities in a chain are the largest that are believed; the others are
 * where the engine stops reading from a peer, or forgets.
 */
#define VUSER_MAX_REGIONS	 100u
#define VUSER_MAX_IRQS		 50u
#define VUSER_MAX_VECTORS	 4096u /* of an interrupt type */
#define VUSER_MAX_REGION_CAPS	 64u
#define VUSER_MAX_SPARSE_AREAS	 256u
#define VUSER_MAX_REPLY_INFO	 65536u /* bytes of a GET_REGION_INFO reply */
#define VUSER_MAX_CAPS_JSON	 65536u /* bytes of JSON in a VERSION payload */
#define VUSER_MAX_FDS_HELD	 64u	/* fds held for messages not yet complete */
#define VUSER_MAX_INCOMING	 1024u	/* requests received, not yet handled */
#define VUSER_MAX_INCOMING_BYTES (64u << 20)
#define VUSER_MAX_OUTGOING_BYTES (8u << 20) /* replies waiting for room in the socket */
#define VUSER_MAX_LATE		 1024u	/* requests given up whose reply may still come */
#define VUSER_MAX_PENDING	 16384u /* requests sent, reply due */
#define VUSER_MAX_EVENTS	 16u	/* reports kept until somebody can hear them */
#define VUSER_MAX_LOG_RANGES	 256u	/* of addresses, in one start of DMA logging */
#define VUSER_MAX_VERSION_REPLY	 200u	/* a larger one does not fit QEMU's buffer */

#endif
