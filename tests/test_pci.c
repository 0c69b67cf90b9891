// SPDX-License-Identifier: BSD-3-Clause
/* Tests of the PCI decoder: spaces as they should be, and as a hostile peer has them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <cjson/cJSON.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pci.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

/* ---- Building spaces, looking at what comes out ---------------------------------- */

static uint8_t space[4096];
static char ids_path[] = "/tmp/test_pci_ids_XXXXXX";

/* A database of our own, so that the installed one may change. */
static const char ids_text[] = "1234  Example Vendor\n"
			       "\t11e8  Example Device\n"
			       "\t\t1af4 1100  Example Board\n"
			       "1af4  Virtual Vendor\n"
			       "C 01  Mass storage controller\n"
			       "\t08  Non-Volatile memory controller\n"
			       "\t\t02  NVM Express\n";

static void put(unsigned offset, unsigned width, uint64_t value)
{
	for (unsigned i = 0; i < width; i++)
		space[offset + i] = (uint8_t)(value >> 8 * i);
}

/* Nothing but zeros, and no names. */
static struct pci_view blank(size_t len)
{
	memset(space, 0, sizeof(space));
	return (struct pci_view){ .cfg = space,
				  .len = len,
				  .ids = "/nonexistent/pci.ids" };
}

/* A space whose chain begins at 0x40. */
static struct pci_view chained(size_t len)
{
	struct pci_view v = blank(len);

	put(0x06, 2, 0x0010);
	put(0x34, 1, 0x40);
	return v;
}

/* The device that QEMU calls edu: one BAR, INTx, MSI. */
static struct pci_view edu(void)
{
	struct pci_view v = chained(256);

	put(0x00, 4, 0x11e81234);
	put(0x04, 2, 0x0007); /* I/O, memory, bus master */
	put(0x08, 4, 0x00ff0010);
	put(0x10, 4, 0xfea00000);
	put(0x2c, 4, 0x11001af4);
	put(0x3c, 2, 0x010b);	  /* INTA, IRQ 11 */
	put(0x40, 4, 0x00800005); /* MSI, last, 64-bit */
	v.bar_size[0] = 1 << 20;
	v.bar_size_known[0] = true;
	return v;
}

static char *text_of(const struct pci_view *v)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	pci_print(out, v);
	fclose(out);
	assert_non_null(text);
	return text;
}

static void expect(const struct pci_view *v, const char *part, bool there)
{
	char *text = text_of(v);

	if (!strstr(text, part) == there)
		fail_msg("%s \"%s\" in:\n%s", there ? "no" : "a", part, text);
	free(text);
}

static void has(const struct pci_view *v, const char *part)
{
	expect(v, part, true);
}

static void lacks(const struct pci_view *v, const char *part)
{
	expect(v, part, false);
}

static void same(const struct pci_view *v, const char *expected)
{
	char *text = text_of(v);

	assert_string_equal(text, expected);
	free(text);
}

/* What stands at path, "capabilities.0.dev_cap.max_payload", as JSON without blanks. */
static void json_is(const struct pci_view *v, const char *path, const char *expected)
{
	cJSON *root = pci_json(v), *at = root;
	char *copy = strdup(path), *rest = copy, *part, *text;

	assert_non_null(root);
	while ((part = strsep(&rest, ".")))
		at = isdigit((unsigned char)*part)
			     ? cJSON_GetArrayItem(at, atoi(part))
			     : cJSON_GetObjectItemCaseSensitive(at, part);
	text = at ? cJSON_PrintUnformatted(at) : strdup("nothing");
	if (strcmp(text, expected) != 0)
		fail_msg("%s is %s, not %s", path, text, expected);
	free(text);
	free(copy);
	cJSON_Delete(root);
}

static int make_ids(void **state)
{
	ssize_t size = sizeof(ids_text) - 1;
	int fd = mkstemp(ids_path);
	bool written = fd >= 0 && write(fd, ids_text, (size_t)size) == size;

	(void)state;
	if (fd >= 0)
		close(fd);
	return written ? 0 : -1;
}

static int remove_ids(void **state)
{
	(void)state;
	return unlink(ids_path);
}

/* ---- Registers, and how they read ------------------------------------------------ */

/* Spaces of 256 bytes without and with a chain that begins at 0x40, and two of 4096. */
enum base { BLANK, CHAIN, LONG, ONES };

#define NONE 1 /* a region known to have no bytes */

/* A row says what matters to it and no more. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

/* What is put into a space, what its text has, and maybe its JSON, with ' for ". */
static struct example {
	const char *name;
	enum base base;
	struct {
		unsigned offset, width;
		uint64_t value;
	} puts[8];
	const char *text;
	const char *path, *json;
	uint64_t bar0, bar1, rom; /* sizes of regions, 0: unknown */
	const char *absent;	  /* what the text has not */
} examples[] = {
	// clang-format off
	{ "control_bits", BLANK, { { 0x04, 2, 0xffff } },
	  "\tControl: I/O+ Mem+ BusMaster+ SpecCycle+ MemWINV+ VGASnoop+ ParErr+ "
	  "Stepping+ SERR+ FastB2B+ DisINTx+\n", "control.value", "'0xffff'" },
	{ "status_bits", BLANK, { { 0x06, 2, 0xfbef } },
	  "\tStatus: Cap- 66MHz+ UDF+ FastB2B+ ParErr+ DEVSEL=medium >TAbort+ <TAbort+ "
	  "<MAbort+ >SERR+ <PERR+ INTx+\n", "status.devsel", "'medium'" },
	{ "latency_and_cache_line", BLANK, { { 0x0c, 2, 0x4010 }, { 0x3e, 2, 0x0201 } },
	  "\tLatency: 64 (250ns min, 500ns max), Cache Line Size: 64 bytes\n",
	  "latency", "{'timer':64,'min_ns':250,'max_ns':500,'cache_line_size':64}" },
	{ "a_bist_that_has_run", BLANK, { { 0x0f, 1, 0x83 } }, "\tBIST result: 03\n" },
	{ "a_bist_that_runs", BLANK, { { 0x0f, 1, 0xc0 } }, "\tBIST is running\n" },
	{ "interrupt_pin_d", BLANK, { { 0x3c, 2, 0x04ff } },
	  "\tInterrupt: pin D routed to IRQ 255\n", "interrupt", "{'line':255,'pin':4}" },
	{ "an_interrupt_pin_beyond_d", BLANK, { { 0x3c, 2, 0xdbff } }, /* 'A' + it: ESC */
	  "\tInterrupt: pin ? routed to IRQ 255\n"
	  "\t!!! [3d] there is no interrupt pin 219\n" },
	{ "no_interrupt", BLANK, { }, "", "interrupt", "nothing", .absent = "Interrupt" },

	{ "all_ones_means_no_device", ONES, { },
	  "\t!!! [00] vendor ffff: there is no device\n", "capabilities", "[]" },
	{ "all_ones_after_the_type", ONES, { { 0x0e, 1, 0 } },
	  "\t!!! [34] capabilities: points to ff, which is not aligned: not followed\n" },

	{ "bars_of_all_kinds", BLANK,
	  { { 0x04, 2, 0x0002 }, { 0x10, 8, 0x120000000cull }, { 0x18, 4, 0xc001 },
	    { 0x1c, 4, 0xfe000002 }, { 0x20, 4, 0xfd000006 } },
	  "\tRegion 0: Memory at 0000001200000000 (64-bit, prefetchable)\n"
	  "\tRegion 2: I/O ports at c000 [disabled]\n"
	  "\tRegion 3: Memory at fe000000 (low-1M, non-prefetchable)\n"
	  "\tRegion 4: Memory at fd000000 (type 3, non-prefetchable)\n",
	  "bars.1", "{'index':2,'type':'io','address':'0xc000','enabled':false}" },
	{ "a_bar_without_address", BLANK, { },
	  "\tRegion 0: Memory at <unassigned> (32-bit, non-prefetchable) [disabled] "
	  "[size=4K]\n",
	  "bars.0", "{'index':0,'type':'memory','address':'0x00000000','width':'32-bit',"
	  "'prefetchable':false,'enabled':false,'size':'0x1000'}", .bar0 = 4096 },
	{ "a_64_bit_bar_that_is_the_last", BLANK, { { 0x24, 4, 0xfe000004 } },
	  "\t!!! [24] BAR 5 is the last and has no upper half\n", "problems",
	  "[{'offset':'0x24','message':'BAR 5 is the last and has no upper half'}]" },
	{ "a_bar_whose_region_does_not_exist", BLANK, { { 0x10, 4, 0xfea00000 } },
	  "\tRegion 0: Memory at fea00000 (32-bit, non-prefetchable) [disabled] [no "
	  "region]\n", .bar0 = NONE },
	{ "no_bar_and_no_region", BLANK, { }, "", "bars", "[]", .bar0 = NONE },
	{ "the_upper_half_of_a_bar_is_no_region", BLANK, { { 0x10, 4, 0xfe000004 } },
	  "\t!!! [14] BAR 1 is the upper half of BAR 0, yet there is a region for it\n",
	  .bar1 = 4096 },
	{ "an_expansion_rom", BLANK, { { 0x04, 2, 2 }, { 0x30, 4, 0xfeb00001 } },
	  "\tExpansion ROM at feb00000 [size=64K]\n", "rom",
	  "{'address':'0xfeb00000','enabled':true,'size':'0x10000'}", .rom = 65536 },
	{ "an_expansion_rom_that_is_off", BLANK, { { 0x30, 4, 0xfeb00001 } },
	  "\tExpansion ROM at feb00000 [disabled]\n" },
	{ "an_expansion_rom_without_address", BLANK, { },
	  "\tExpansion ROM at <unassigned> [disabled] [size=2K]\n", .rom = 2048 },

	/* Other headers: 0x18 has the numbers of buses, the subsystem is a capability. */
	{ "a_bridge_shows_what_is_common", CHAIN,
	  { { 0x0e, 1, 0x81 }, { 0x18, 4, 0x020100 }, { 0x40, 2, 0x0d } },
	  "\tHeader type 01 (PCI-to-PCI bridge): only what it shares with type 00 is "
	  "shown\n",
	  "multifunction", "true", .absent = "Region" },
	{ "a_bridge_has_its_rom_elsewhere", CHAIN,
	  { { 0x0e, 1, 1 }, { 0x38, 4, 0xfeb00000 } },
	  "\tExpansion ROM at feb00000 [disabled]\n" },
	{ "a_bridge_has_its_subsystem_elsewhere", CHAIN,
	  { { 0x0e, 1, 1 }, { 0x40, 2, 0x0d }, { 0x44, 4, 0x11001af4 } },
	  "\tCapabilities: [40] Subsystem: Vendor=1af4 Device=1100\n" },
	{ "a_cardbus_bridge_has_its_chain_elsewhere", CHAIN,
	  { { 0x0e, 1, 2 }, { 0x14, 1, 0x80 }, { 0x34, 1, 0 }, { 0x80, 2, 3 } },
	  "\tCapabilities: [80] Vital Product Data\n" },
	{ "an_unknown_header_type", CHAIN, { { 0x0e, 1, 3 }, { 0x10, 4, 0xfe000000 } },
	  "\t!!! [0e] unknown header type 03: nothing more can be said\n",
	  "capabilities", "[]", .absent = "Region" },

	{ "a_loop", CHAIN, { { 0x40, 2, 0x4003 } },
	  "\t!!! [40] capabilities: points back to 40, a loop: not followed\n",
	  "problems",
	  "[{'offset':'0x40','message':'capabilities: points back to 40, a loop: not "
	  "followed'}]" },
	{ "a_pointer_without_the_status_bit", CHAIN, { { 0x06, 2, 0 } },
	  "\t!!! [34] capabilities: points to 40, yet the status says Cap-: not "
	  "followed\n",
	  "capabilities", "[]" },
	{ "power_management", CHAIN, { { 0x40, 4, 0xc3c30001 }, { 0x44, 2, 0xa10b } },
	  "\tCapabilities: [40] Power Management version 3\n"
	  "\t\tFlags: PMEClk- DSI- D1+ D2- AuxCurrent=375mA "
	  "PME(D0-,D1-,D2-,D3hot+,D3cold+)\n"
	  "\t\tStatus: D3 NoSoftRst+ PME-Enable+ DSel=0 DScale=1 PME+\n",
	  "capabilities.0.pm_cap",
	  "{'flags':['D1'],'aux_current':375,'pme':['D3hot','D3cold']}" },
	{ "msi_of_32_bits", CHAIN,
	  { { 0x40, 4, 0x00150005 }, { 0x44, 4, 0xfee01000 }, { 0x48, 2, 0x4021 } },
	  "] MSI: Enable+ Count=2/4 Maskable- 64bit-\n"
	  "\t\tAddress: fee01000  Data: 4021\n",
	  "capabilities.0.message", "{'address':'0xfee01000','data':'0x4021'}" },
	{ "msi_with_masks", CHAIN,
	  { { 0x40, 4, 0x018a0005 }, { 0x44, 8, 0x123456789ull }, { 0x4c, 2, 7 },
	    { 0x50, 4, 0xf }, { 0x54, 4, 0x80000000 } },
	  "] MSI: Enable- Count=1/32 Maskable+ 64bit+\n"
	  "\t\tAddress: 0000000123456789  Data: 0007\n"
	  "\t\tMasking: 0000000f  Pending: 80000000\n", "capabilities.0.count_max",
	  "32" },
	{ "msi_with_impossible_counts", CHAIN, { { 0x40, 4, 0x00720005 } },
	  "\t\t!!! [42] 128 vectors enabled of 2: impossible\n" },
	{ "msix_that_just_fits", CHAIN,
	  { { 0x40, 4, 0xc00f0011 }, { 0x44, 4, 0x0f00 }, { 0x48, 4, 0x0ff8 } },
	  "] MSI-X: Enable+ Count=16 Masked+\n\t\tVector table: BAR=0 offset=00000f00\n"
	  "\t\tPBA: BAR=0 offset=00000ff8\n",
	  "capabilities.0.pba", "{'bar':0,'offset':'0x00000ff8'}", .bar0 = 4096,
	  .absent = "!!!" },
	{ "msix_whose_table_does_not_fit", CHAIN,
	  { { 0x40, 4, 0xf0011 }, { 0x44, 4, 0xf08 } },
	  "\t\t!!! [44] does not fit into BAR 0 of 4K\n", .bar0 = 4096 },
	{ "msix_whose_pba_does_not_fit", CHAIN,
	  { { 0x40, 4, 0xf0011 }, { 0x48, 4, 0xfffffff8 } },
	  "\t\t!!! [48] does not fit into BAR 0 of 4K\n", .bar0 = 4096 },
	{ "msix_in_no_bar", CHAIN, { { 0x40, 2, 0x11 }, { 0x48, 4, 6 } },
	  "\t\t!!! [48] there is no BAR 6\n" },
	{ "vendor_specific", CHAIN, { { 0x40, 8, 0x0a0d1b060009ull } },
	  "\tCapabilities: [40] Vendor Specific Information: Len=06\n"
	  "\t\t40: 09 00 06 1b 0d 0a\n",
	  "capabilities.0", "{'offset':'0x40','id':'0x09','name':'Vendor Specific "
	  "Information','length':6,'data':'0900061b0d0a'}" },
	{ "vendor_specific_of_no_length", CHAIN, { { 0x40, 4, 0x20009 } },
	  "\t\t!!! [40] a length of 2, 3 at least are due\n"
	  "\t\t40: 09 00 02 00 and zeros" },
	{ "vendor_specific_out_of_the_space", CHAIN, { { 0x40, 4, 0xff0009 } },
	  "\t\t!!! [40] a length of 255, the space ends after 192\n" },
	{ "virtio", CHAIN,
	  { { 0x00, 4, 0x10421af4 }, { 0x40, 4, 0x02140009 }, { 0x44, 4, 4 },
	    { 0x48, 4, 0x3000 }, { 0x4c, 4, 0x1000 }, { 0x50, 4, 4 } },
	  "Len=14 VirtIO: Notify\n"
	  "\t\tBAR=4 offset=00003000 size=00001000 multiplier=00000004\n" },
	{ "virtio_of_unknown_kind", CHAIN,
	  { { 0x00, 4, 0x10421af4 }, { 0x40, 4, 0x7f100009 } },
	  "Len=10 VirtIO: <unknown>\n" },
	{ "advanced_features", CHAIN, { { 0x40, 6, 0x010003060013ull } },
	  "Features\n\t\tAFCap: TP+ FLR+\n\t\tAFCtrl: FLR-\n\t\tAFStatus: TP+\n" },
	{ "unknown_ones_in_hex_up_to_the_next", CHAIN,
	  { { 0x40, 8, 0x1b1b1b1b0201502aull }, { 0x4c, 4, 0x99999999 }, { 0x50, 2, 3 } },
	  "\tCapabilities: [40] #2a, unknown\n"
	  "\t\t40: 2a 50 01 02 1b 1b 1b 1b 00 00 00 00 99 99 99 99\n"
	  "\tCapabilities: [50] Vital Product Data\n"
	  "\t\t50: 03 00 00 00 and zeros up to ff\n",
	  "capabilities.0", "{'offset':'0x40','id':'0x2a','name':null,"
	  "'data':'2a5001021b1b1b1b0000000099999999'}" },

	{ "express_device_registers", CHAIN,
	  { { 0x40, 4, 0x02020010 }, { 0x44, 4, 0x10008fc1 }, { 0x48, 4, 0x102810 } },
	  "\tCapabilities: [40] Express (v2) Endpoint, MSI 01\n"
	  "\t\tDevCap:\tMaxPayload 256 bytes, PhantFunc 0, Latency L0s unlimited, L1 "
	  "unlimited\n"
	  "\t\t\tExtTag- AttnBtn- AttnInd- PwrInd- RBE+ FLReset+\n"
	  "\t\tDevCtl:\tCorrErr- NonFatalErr- FatalErr- UnsupReq-\n"
	  "\t\t\tRlxdOrd+ ExtTag- PhantFunc- AuxPwr- NoSnoop+ FLReset-\n"
	  "\t\t\tMaxPayload 128 bytes, MaxReadReq 512 bytes\n"
	  "\t\tDevSta:\tCorrErr- NonFatalErr- FatalErr- UnsupReq- AuxPwr+ TransPend-\n",
	  "capabilities.0.dev_ctl",
	  "{'flags':['RlxdOrd','NoSnoop'],'max_payload':128,'max_read_req':512}" },
	{ "express_link_registers", CHAIN,
	  { { 0x40, 4, 0x00020010 }, { 0x4c, 4, 0x05400c43 }, { 0x50, 4, 0x10430040 } },
	  "\t\tLnkCap:\tPort #5, Speed 8GT/s, Width x4, ASPM L0s L1, Exit Latency L0s "
	  "<64ns, L1 <1us\n\t\t\tClockPM- Surprise- LLActRep- BwNot- ASPMOptComp+\n"
	  "\t\tLnkCtl:\tASPM Disabled, RCB 64 bytes\n"
	  "\t\t\tLnkDisable- CommClk+ ExtSynch- ClockPM- AutWidDis- BWInt- AutBWInt-\n"
	  "\t\tLnkSta:\tSpeed 8GT/s, Width x4\n"
	  "\t\t\tTrErr- Train- SlotClk+ DLActive- BWMgmt- ABWMgmt-\n",
	  "capabilities.0.lnk_sta", "{'speed':'8GT/s','width':4,'flags':['SlotClk']}" },
	{ "express_second_device_registers", CHAIN,
	  { { 0x40, 4, 0x00020010 }, { 0x64, 4, 0x81f }, { 0x68, 4, 0x406 } },
	  "\t\tDevCap2: Completion Timeout: Range ABCD, TimeoutDis+ NROPrPrP- LTR+ "
	  "10BitTagComp- 10BitTagReq- ExtFmt- EETLPPrefix- FRS-\n"
	  "\t\tDevCtl2: Completion Timeout: 65ms to 210ms, TimeoutDis- IDOReq- "
	  "IDOCompl- LTR+ 10BitTagReq- EETLPPrefixBlk-\n" },
	{ "express_second_link_registers", CHAIN,
	  { { 0x40, 4, 0x00020010 }, { 0x6c, 4, 0xe }, { 0x70, 4, 0x001e0003 } },
	  "\t\tLnkCap2: Supported Link Speeds: 2.5GT/s 5GT/s 8GT/s, Crosslink- Retimer- "
	  "2Retimers- DRS-\n"
	  "\t\tLnkCtl2: Target Link Speed: 8GT/s, EnterCompliance- SpeedDis-\n"
	  "\t\tLnkSta2: Current De-emphasis Level: -6dB\n\t\t\tEqualizationComplete+ "
	  "EqualizationPhase1+ EqualizationPhase2+ EqualizationPhase3+ "
	  "LinkEqualizationRequest-\n",
	  "capabilities.0.lnk_cap2.speeds", "['2.5GT/s','5GT/s','8GT/s']" },
	{ "express_of_version_1_needs_20_bytes", CHAIN,
	  { { 0x34, 1, 0xec }, { 0xec, 4, 0x00010010 } },
	  "Express (v1) Endpoint, MSI 00\n", .absent = "DevCap2" },
	{ "express_of_version_2_needs_60_bytes", CHAIN,
	  { { 0x34, 1, 0xec }, { 0xec, 4, 0x00020010 } },
	  "Express\n\t\t!!! [ec] cut: 20 of its 60 bytes\n\t\tec: 10 00 02 00" },
	{ "an_integrated_endpoint_has_no_link", CHAIN, { { 0x40, 4, 0x00920010 } },
	  "Express (v2) Root Complex Integrated Endpoint, MSI 00\n", .absent = "Lnk" },
	{ "a_root_port", CHAIN, { { 0x40, 4, 0x01420010 } },
	  "Express (v2) Root Port (Slot+), MSI 00\n" },
	{ "a_port_of_unknown_type", CHAIN, { { 0x40, 4, 0x00f20010 } },
	  "Express (v2) unknown, MSI 00\n" },

	{ "a_standard_capability_does_not_reach_into_the_extended", LONG,
	  { { 0x06, 2, 0x10 }, { 0x34, 1, 0xf8 }, { 0xf8, 2, 0x11 } },
	  "Capabilities: [f8] MSI-X\n\t\t!!! [f8] cut: 8 of its 12 bytes\n",
	  "capabilities.0.data", "'1100000000000000'" },
	{ "no_extended_chain", LONG, { { 0x104, 4, 1 } }, "", "capabilities", "[]" },
	{ "all_ones_are_no_extended_chain", LONG, { { 0x100, 4, 0xffffffff } },
	  "", "capabilities", "[]", .absent = "!!!" },
	{ "error_status", LONG,
	  { { 0x100, 4, 0x00020001 }, { 0x104, 4, 0x00100000 } },
	  "\tCapabilities: [100 v2] Advanced Error Reporting\n"
	  "\t\tUESta:\tDLP- SDES- TLP- FCP- CmpltTO- CmpltAbrt- UnxCmplt- RxOF- "
	  "MalfTLP- ECRC- UnsupReq+ ACSViol-\n",
	  "capabilities.0.ue_sta", "{'flags':['UnsupReq']}" },
	{ "error_log", LONG,
	  { { 0x100, 4, 0x00020001 }, { 0x114, 4, 0x2000 },
	    { 0x118, 8, 0x04000001000000b4ull } },
	  "\t\tCEMsk:\tRxErr- BadTLP- BadDLLP- Rollover- Timeout- AdvNonFatalErr+\n"
	  "\t\tAERCap:\tFirst Error Pointer: 14\n"
	  "\t\t\tECRCGenCap+ ECRCGenEn- ECRCChkCap+ ECRCChkEn- MultHdrRecCap- "
	  "MultHdrRecEn- TLPPfxPres- HdrLogCap-\n"
	  "\t\tHeaderLog: 04000001 00000000 00000000 00000000\n" },
	{ "serial_number", LONG,
	  { { 0x100, 4, 0x10003 }, { 0x104, 8, 0x0123456789abcdefull } },
	  "[100 v1] Device Serial Number 01-23-45-67-89-ab-cd-ef\n", "capabilities.0",
	  "{'offset':'0x100','id':'0x0003','name':'Device Serial "
	  "Number','version':1,'serial':'0x0123456789abcdef'}" },
	{ "vendor_specific_extended", LONG,
	  { { 0x100, 8, 0x00c200070001000bull }, { 0x108, 4, 0x44434241 } },
	  "[100 v1] Vendor Specific Information: ID=0007 Rev=2 Len=00c\n"
	  "\t\t100: 0b 00 01 00 07 00 c2 00 41 42 43 44\n" },
	{ "vendor_specific_extended_out_of_the_space", LONG,
	  { { 0x100, 8, 0xfff200070001000bull } },
	  "!!! [100] a length of 4095, the space ends after 3840\n" },
	{ "designated_vendor_specific", LONG,
	  { { 0x100, 8, 0x00c31af400010023ull }, { 0x108, 2, 5 } },
	  "Designated Vendor-Specific: Vendor=1af4 ID=0005 Rev=3 Len=00c\n"
	  "\t\t100: 23 00 01 00 f4 1a c3 00 05 00 00 00\n" },
	{ "routing_id", LONG, { { 0x100, 8, 0x002001020001000eull } },
	  "ARICap:\tMFVC- ACS+, Next Function: 1\n"
	  "\t\tARICtl:\tMFVC- ACS-, Function Group: 2\n" },
	{ "address_translation", LONG, { { 0x100, 8, 0x800100040001000full } },
	  "\t\tATSCap:\tInvalidate Queue Depth: 04\n"
	  "\t\tATSCtl:\tEnable+, Smallest Translation Unit: 01\n" },
	{ "latency_tolerance", LONG, { { 0x100, 8, 0x0005100300010018ull } },
	  "\t\tMax snoop latency: 3145728ns\n\t\tMax no snoop latency: 5ns\n" },
	{ "process_space", LONG, { { 0x100, 8, 0x000114060001001bull } },
	  "PASIDCap: Exec+ Priv+, Max PASID Width: 20\n"
	  "\t\tPASIDCtl: Enable+ Exec- Priv-\n" },
	{ "access_control", LONG, { { 0x100, 8, 0x0001007f0001000dull } },
	  "\t\tACSCtl:\tSrcValid+ TransBlk- ReqRedir- CmpltRedir- UpstreamFwd- "
	  "EgressCtrl- DirectTrans-\n" },
	{ "virtual_functions", LONG,
	  { { 0x100, 4, 0x10010 }, { 0x108, 2, 9 }, { 0x10c, 8, 0x400100008ull },
	    { 0x114, 4, 0x20001 }, { 0x11a, 2, 0x11 }, { 0x11c, 8, 0x100000553ull } },
	  "\t\tIOVCtl:\tEnable+ Migration- Interrupt- MSE+ ARIHierarchy-\n"
	  "\t\tInitial VFs: 8, Total VFs: 16, Number of VFs: 4, Function Dependency "
	  "Link: 00\n"
	  "\t\tVF offset: 1, stride: 2, Device ID: 0011\n"
	  "\t\tSupported Page Size: 00000553, System Page Size: 00000001\n" },
	{ "unknown_extended_ones_in_hex", LONG, { { 0x100, 4, 0x00010099 } },
	  "\tCapabilities: [100 v1] #99, unknown\n"
	  "\t\t100: 99 00 01 00 and zeros up to fff\n" },
	// clang-format on
};

static struct pci_view example_view(const struct example *x)
{
	struct pci_view v = x->base == CHAIN ? chained(256) : blank(256);

	if (x->base >= LONG)
		v.len = sizeof(space);
	if (x->base == ONES)
		memset(space, 0xff, sizeof(space));
	for (size_t i = 0; i < COUNT(x->puts); i++)
		put(x->puts[i].offset, x->puts[i].width, x->puts[i].value);
	v.bar_size[0] = x->bar0 == NONE ? 0 : x->bar0;
	v.bar_size_known[0] = x->bar0;
	v.bar_size[1] = x->bar1;
	v.bar_size_known[1] = x->bar1;
	v.rom_size = x->rom;
	return v;
}

static void one_example(void **state)
{
	const struct example *x = *state;
	struct pci_view v = example_view(x);
	char *json = strdup(x->json ? x->json : "");

	has(&v, x->text);
	if (x->absent)
		lacks(&v, x->absent);
	for (char *p = json; *p; p++)
		if (*p == '\'')
			*p = '"';
	if (x->json)
		json_is(&v, x->path, json);
	free(json);
}

/* ---- Whole devices --------------------------------------------------------------- */

static void an_edu_device_reads_like_lspci(void **state)
{
	struct pci_view v = edu();

	(void)state;
	v.ids = ids_path;
	same(&v,
	     "Class [00ff]: Example Vendor Example Device [1234:11e8] (rev 10)\n"
	     "\tSubsystem: Virtual Vendor Example Board [1af4:1100]\n"
	     "\tControl: I/O+ Mem+ BusMaster+ SpecCycle- MemWINV- VGASnoop- ParErr- "
	     "Stepping- SERR- FastB2B- DisINTx-\n"
	     "\tStatus: Cap+ 66MHz- UDF- FastB2B- ParErr- DEVSEL=fast >TAbort- <TAbort- "
	     "<MAbort- >SERR- <PERR- INTx-\n"
	     "\tLatency: 0\n"
	     "\tInterrupt: pin A routed to IRQ 11\n"
	     "\tRegion 0: Memory at fea00000 (32-bit, non-prefetchable) [size=1M]\n"
	     "\tCapabilities: [40] MSI: Enable- Count=1/1 Maskable- 64bit+\n"
	     "\t\tAddress: 0000000000000000  Data: 0000\n");
}

static void an_edu_device_as_json(void **state)
{
	struct pci_view v = edu();

	(void)state;
	v.ids = ids_path;
	json_is(&v, "vendor", "\"0x1234\"");
	json_is(&v, "vendor_name", "\"Example Vendor\"");
	json_is(&v, "device_name", "\"Example Device\"");
	json_is(&v, "class_name", "null");
	json_is(&v, "revision", "\"0x10\"");
	json_is(&v, "subsystem",
		"{\"vendor\":\"0x1af4\",\"vendor_name\":\"Virtual Vendor\","
		"\"device\":\"0x1100\",\"device_name\":\"Example Board\"}");
	json_is(&v, "control.flags", "[\"I/O\",\"Mem\",\"BusMaster\"]");
	json_is(&v, "bars.0.size", "\"0x100000\"");
	json_is(&v, "capabilities.0.flags", "[\"64bit\"]");
	json_is(&v, "problems", "[]");
}

static void all_zeros_is_a_device_without_anything(void **state)
{
	struct pci_view v = blank(4096);

	(void)state;
	same(&v,
	     "Class [0000]: Device [0000:0000]\n"
	     "\tControl: I/O- Mem- BusMaster- SpecCycle- MemWINV- VGASnoop- ParErr- "
	     "Stepping- SERR- FastB2B- DisINTx-\n"
	     "\tStatus: Cap- 66MHz- UDF- FastB2B- ParErr- DEVSEL=fast >TAbort- <TAbort- "
	     "<MAbort- >SERR- <PERR- INTx-\n");
}

static void sizes_have_the_largest_unit_without_rest(void **state)
{
	char buf[PCI_SIZE_MAX];

	(void)state;
	assert_string_equal(pci_size_text(buf, 0), "0");
	assert_string_equal(pci_size_text(buf, 1536), "1536");
	assert_string_equal(pci_size_text(buf, 3ull << 40), "3T");
	assert_string_equal(pci_size_text(buf, 1ull << 63), "8E");
	assert_string_equal(pci_size_text(buf, UINT64_MAX), "18446744073709551615");
}

/* ---- Names ----------------------------------------------------------------------- */

static void the_identity_is_one_line(void **state)
{
	struct pci_view v = edu();
	char line[PCI_IDENTITY_MAX];

	(void)state;
	v.ids = ids_path;
	put(0x08, 4, 0x01080200);
	pci_identity(&v, line, sizeof(line));
	assert_string_equal(line, "Non-Volatile memory controller [0108]: "
				  "Example Vendor Example Device [1234:11e8]");
	has(&v, "[1234:11e8] (prog-if 02 [NVM Express])\n");
	pci_identity(&v, line, 8);
	assert_string_equal(line, "Non-Vol");
}

static void without_a_database_there_are_numbers(void **state)
{
	struct pci_view v = edu();

	(void)state;
	v.ids = "/nonexistent/pci.ids";
	has(&v, "Class [00ff]: Device [1234:11e8] (rev 10)\n"
		"\tSubsystem: Device [1af4:1100]\n");
	json_is(&v, "vendor_name", "null");
	v.ids = NULL; /* the one that is installed, if any */
	has(&v, "[1234:11e8] (rev 10)\n");
}

static void a_broken_database_ends_nothing(void **state)
{
	static const char text[] = "1234  Example Vendor\nnonsense\n";
	char path[] = "/tmp/test_pci_broken_XXXXXX";
	struct pci_view v = edu();
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
	close(fd);
	v.ids = path;
	has(&v, "Example Vendor Device [1234:11e8] (rev 10)\n");
	unlink(path);
}

/* ---- Chains that lie ------------------------------------------------------------- */

struct seen {
	unsigned caps, problems;
	char last[128];
};

static void see(void *arg, const struct pci_link *l)
{
	struct seen *s = arg;

	if (l->problem[0]) {
		s->problems++;
		snprintf(s->last, sizeof(s->last), "%02x %s", l->offset, l->problem);
	} else {
		s->caps++;
	}
}

static struct seen walk(const struct pci_view *v)
{
	struct seen s = { 0 };

	pci_walk_caps(v, see, &s);
	return s;
}

/* Pointers that cannot be right, how many capabilities come first, and what is said. */
static const struct {
	size_t len;
	unsigned first, at40,
		at50; /* the pointers; a header at 0x100 if len is above that */
	unsigned caps;
	const char *said;
} chains[] = {
	{ 256, 0x40, 0x40, 0, 1, "40 points back to 40, a loop: not followed" },
	{ 256, 0x40, 0x50, 0x40, 2, "50 points back to 40, a loop: not followed" },
	{ 256, 0x40, 0x50, 0x50, 2, "50 points back to 50, a loop: not followed" },
	{ 256, 0x3c, 0, 0, 0, "34 points to 3c, into the header: not followed" },
	{ 256, 0x40, 0x04, 0, 1, "40 points to 04, into the header: not followed" },
	{ 256, 0x41, 0, 0, 0, "34 points to 41, which is not aligned: not followed" },
	{ 256, 0x40, 0x52, 0, 1, "40 points to 52, which is not aligned: not followed" },
	{ 256, 0xff, 0, 0, 0, "34 points to ff, which is not aligned: not followed" },
	{ 64, 0x40, 0, 0, 0, "34 points to 40, out of the 64 bytes: not followed" },
	{ 65, 0x40, 0, 0, 0, "34 points to 40, out of the 65 bytes: not followed" },
	{ 128, 0x40, 0x80, 0, 1, "40 points to 80, out of the 128 bytes: not followed" },
	{ 256, 0, 0, 0, 0, "34 points to none, yet the status says Cap+" },
	{ 4096, 0x10010019, 0, 0, 1, "100 points back to 100, a loop: not followed" },
	{ 4096, 0x0ff10019, 0, 0, 1, "100 points to ff, into the header: not followed" },
	{ 4096, 0xfff10019, 0, 0, 1,
	  "100 points to fff, which is not aligned: not followed" },
	{ 4095, 0xffc10019, 0, 0, 1,
	  "100 points to ffc, out of the 4095 bytes: not followed" },
};

static void bad_pointers_are_reported_not_followed(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(chains); i++) {
		struct pci_view v = chained(chains[i].len);
		struct seen s;

		put(0x34, 1, chains[i].first);
		put(0x40, 2, 0x03 | chains[i].at40 << 8);
		put(0x50, 2, 0x03 | chains[i].at50 << 8);
		if (chains[i].len > 256) {
			put(0x06, 2, 0);
			put(0x34, 1, 0);
			put(0x100, 4, chains[i].first);
		}
		s = walk(&v);
		assert_int_equal(s.caps, chains[i].caps);
		assert_int_equal(s.problems, 1);
		assert_string_equal(s.last, chains[i].said);
	}
}

static void a_chain_may_fill_the_space(void **state)
{
	struct pci_view v = chained(256);
	struct seen s;

	(void)state;
	for (unsigned at = 0x40; at < 0x100; at += 4)
		put(at, 2, 0x03 | (at + 4) << 8);
	s = walk(&v);
	assert_int_equal(s.caps, 48);
	assert_int_equal(s.problems, 0); /* the last one's pointer, 0x100, is 0 */
}

static void an_extended_chain_ends_after_48(void **state)
{
	struct pci_view v = blank(4096);
	struct seen s;

	(void)state;
	for (unsigned at = 0x100; at < 0x400; at += 8)
		put(at, 4, 0x00010019 | (at + 8) << 20);
	s = walk(&v);
	assert_int_equal(s.caps, 48);
	assert_string_equal(s.last, "278 more than 48 capabilities: not followed");
}

/* ---- Spaces that are cut --------------------------------------------------------- */

static void a_cut_header_is_shown_in_hex(void **state)
{
	struct pci_view v = edu();

	(void)state;
	v.len = 6;
	same(&v, "PCI config space of 6 bytes\n"
		 "\t!!! [06] cut: the header has 64 bytes\n"
		 "\t00: 34 12 e8 11 07 00\n");
	json_is(&v, "data", "\"3412e8110700\"");
	v.len = 0;
	v.cfg = NULL;
	has(&v, "PCI config space of 0 bytes\n");
	json_is(&v, "data", "nothing");
}

/* Every capability with a decoder and a size of its own, cut at each of its bytes. */
static void a_cut_capability_is_shown_as_far_as_it_goes(void **state)
{
	static const struct {
		unsigned head; /* its first four bytes */
		unsigned size;
	} caps[] = {
		{ 0x00030001, 8 },  { 0x00000005, 10 }, { 0x00800005, 14 },
		{ 0x01800005, 24 }, { 0x0000000d, 8 },	{ 0x00010010, 20 },
		{ 0x00020010, 60 }, { 0x00000011, 12 }, { 0x00060013, 6 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(caps); i++) {
		for (unsigned n = 4; n <= caps[i].size; n++) {
			struct pci_view v = chained(0x40 + n);
			char said[80];

			put(0x40, 4, caps[i].head);
			snprintf(said, sizeof(said),
				 "cut: %u of its %u bytes\n\t\t40: %02x 00", n,
				 caps[i].size, caps[i].head & 0xff);
			if (n < caps[i].size)
				has(&v, said);
			else
				lacks(&v, "!!!");
		}
	}
}

/* ---- Anything at all ------------------------------------------------------------- */

/* Both faces of a copy of the space that is no longer than it says, for the sanitizer. */
static void decode_exactly(size_t len, struct pci_view v)
{
	uint8_t *exact = malloc(len ? len : 1);
	char *text;
	cJSON *json;

	memcpy(exact, space, len);
	v.cfg = exact;
	v.len = len;
	text = text_of(&v);
	for (const char *p = text; *p; p++)
		if (!isprint((unsigned char)*p) && *p != '\n' && *p != '\t')
			fail_msg("byte %02x in the text", (unsigned char)*p);
	json = pci_json(&v);
	assert_non_null(json);
	cJSON_Delete(json);
	free(text);
	free(exact);
}

static void any_length_will_do(void **state)
{
	struct pci_view v = edu();

	(void)state;
	put(0x41, 1, 0x60);
	put(0x60, 2, 0x0010);
	put(0x100, 4, 0x11010001);
	put(0x110, 4, 0xff81000b);
	put(0xff8, 4, 0x00010003);
	for (size_t len = 0; len <= sizeof(space); len += len < 300 ? 1 : 61)
		decode_exactly(len, v);
	decode_exactly(sizeof(space), v);
	v.len = SIZE_MAX; /* what is above 4096 is ignored */
	json_is(&v, "length", "4096");
}

static uint64_t seed = 0x9e3779b97f4a7c15ull;

static uint32_t draw(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 32);
}

/* Random bytes, bent so that many of them get past the first checks. */
static struct pci_view random_space(void)
{
	static const uint8_t ids[] = { 0x01, 0x05, 0x09, 0x0d, 0x10, 0x11, 0x13 };
	struct pci_view v = { .ids = "/nonexistent/pci.ids" };

	for (size_t i = 0; i < sizeof(space); i += 4)
		put((unsigned)i, 4, draw());
	if (draw() % 16)
		put(0x0e, 1, draw() % 3);
	if (draw() % 16)
		put(0x06, 1, 0x10);
	for (unsigned at = 0x34, i = draw() % 12; i; i--) {
		unsigned next = 0x40 + draw() % 48 * 4;

		put(at == 0x34 ? at : at + 1, 1, next);
		put(next, 1, ids[draw() % sizeof(ids)]);
		at = next;
	}
	for (unsigned at = 0x100, i = draw() % 12; i; i--) {
		unsigned next = 0x100 + draw() % 960 * 4;

		put(at, 4, draw() % 0x36 | next << 20);
		at = next;
	}
	for (unsigned bar = 0; bar < PCI_BARS; bar++) {
		v.bar_size[bar] = (uint64_t)draw() << draw() % 33;
		v.bar_size_known[bar] = draw() % 2;
	}
	return v;
}

static void random_bytes_are_decoded_to_printable_text(void **state)
{
	const char *rounds = getenv("TEST_PCI_ROUNDS"); /* fewer under valgrind */
	unsigned long n = rounds ? strtoul(rounds, NULL, 10) : 100000;

	(void)state;
	while (n--) {
		struct pci_view v = random_space();
		size_t len = draw() % 4 ? 256 : draw() % 2 ? 4096 : draw() % 4097;

		decode_exactly(len, v);
	}
}

/* Allocations of cJSON that are still to succeed. */
static unsigned allocations;

static void *scarce(size_t size)
{
	return allocations && allocations-- ? malloc(size) : NULL;
}

static void json_without_memory_is_null(void **state)
{
	cJSON_Hooks hooks = { .malloc_fn = scarce, .free_fn = free };
	struct pci_view v = edu();
	cJSON *json = NULL;

	(void)state;
	cJSON_InitHooks(&hooks);
	for (unsigned n = 0; !json && n < 1000; n++) {
		allocations = n;
		json = pci_json(&v);
	}
	cJSON_InitHooks(NULL);
	assert_non_null(json);
	cJSON_Delete(json);
}

static const struct CMUnitTest others[] = {
	cmocka_unit_test(an_edu_device_reads_like_lspci),
	cmocka_unit_test(an_edu_device_as_json),
	cmocka_unit_test(all_zeros_is_a_device_without_anything),
	cmocka_unit_test(sizes_have_the_largest_unit_without_rest),
	cmocka_unit_test(the_identity_is_one_line),
	cmocka_unit_test(without_a_database_there_are_numbers),
	cmocka_unit_test(a_broken_database_ends_nothing),
	cmocka_unit_test(bad_pointers_are_reported_not_followed),
	cmocka_unit_test(a_chain_may_fill_the_space),
	cmocka_unit_test(an_extended_chain_ends_after_48),
	cmocka_unit_test(a_cut_header_is_shown_in_hex),
	cmocka_unit_test(a_cut_capability_is_shown_as_far_as_it_goes),
	cmocka_unit_test(any_length_will_do),
	cmocka_unit_test(random_bytes_are_decoded_to_printable_text),
	cmocka_unit_test(json_without_memory_is_null),
};

int main(void)
{
	struct CMUnitTest tests[COUNT(examples) + COUNT(others)];

	for (size_t i = 0; i < COUNT(examples); i++)
		tests[i] = (struct CMUnitTest){ .name = examples[i].name,
						.test_func = one_example,
						.initial_state = &examples[i] };
	memcpy(tests + COUNT(examples), others, sizeof(others));
	return cmocka_run_group_tests(tests, make_ids, remove_ids);
}
