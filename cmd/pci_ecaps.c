// SPDX-License-Identifier: BSD-3-Clause
/* Capabilities of PCI Express: the one in the standard chain, and the extended ones. */
#include "pci.h"

#include <inttypes.h>

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static const char *name_at(const char *const *names, size_t n, size_t i)
{
	return i < n && names[i] ? names[i] : "unknown";
}
#define NAME_AT(names, i) name_at(names, COUNT(names), i)

/* ---- Express ----------------------------------------------------------------------- */

static const char *const port_types[] = {
	[0x0] = "Endpoint",
	[0x1] = "Legacy Endpoint",
	[0x4] = "Root Port",
	[0x5] = "Upstream Port",
	[0x6] = "Downstream Port",
	[0x7] = "PCI-Express to PCI/PCI-X Bridge",
	[0x8] = "PCI/PCI-X to PCI-Express Bridge",
	[0x9] = "Root Complex Integrated Endpoint",
	[0xa] = "Root Complex Event Collector",
};

static const char *const speeds[] = {
	[1] = "2.5GT/s", [2] = "5GT/s",	 [3] = "8GT/s",
	[4] = "16GT/s",	 [5] = "32GT/s", [6] = "64GT/s",
};

/* Those within the root complex have no link. */
static bool has_link(unsigned type)
{
	return type != 0x9 && type != 0xa;
}

static bool is_endpoint(unsigned type)
{
	return type == 0x0 || type == 0x1 || type == 0x9;
}

/* From version 2 on all registers are there, used or not. */
size_t pci_express_need(const struct pci_link *l)
{
	unsigned flags = reg16(l, 2);

	if ((flags & 0xf) >= 2)
		return 0x3c;
	return has_link(flags >> 4 & 0xf) ? 0x14 : 0x0c;
}

static const struct pci_bit devcap_bits[] = {
	{ "ExtTag", 5 },  { "AttnBtn", 12 }, { "AttnInd", 13 },
	{ "PwrInd", 14 }, { "RBE", 15 },     { NULL, 0 },
};
static const struct pci_bit error_bits[] = {
	{ "CorrErr", 0 },  { "NonFatalErr", 1 }, { "FatalErr", 2 },
	{ "UnsupReq", 3 }, { NULL, 0 },
};
static const struct pci_bit devctl_bits[] = {
	{ "RlxdOrd", 4 }, { "ExtTag", 8 },   { "PhantFunc", 9 },
	{ "AuxPwr", 10 }, { "NoSnoop", 11 }, { NULL, 0 },
};
static const struct pci_bit devsta_bits[] = {
	{ "AuxPwr", 4 },
	{ "TransPend", 5 },
	{ NULL, 0 },
};

static void device_registers(struct pci_emit *e, const struct pci_link *l, unsigned type)
{
	static const char *const l0s[] = { "<64ns", "<128ns", "<256ns", "<512ns",
					   "<1us",  "<2us",   "<4us",	"unlimited" };
	static const char *const l1[] = { "<1us",  "<2us",  "<4us",  "<8us",
					  "<16us", "<32us", "<64us", "unlimited" };
	uint32_t cap = reg32(l, 0x04), control = reg16(l, 0x08), status = reg16(l, 0x0a);

	pci_line(e, "DevCap:\t", "dev_cap");
	pci_count(e, "MaxPayload ", 128u << (cap & 7), " bytes");
	pci_count(e, "PhantFunc ", (1u << (cap >> 3 & 3)) - 1, "");
	if (is_endpoint(type)) {
		pci_name(e, "Latency L0s ", l0s[cap >> 6 & 7]);
		pci_name(e, "latency l1|L1 ", l1[cap >> 9 & 7]);
	}
	pci_more(e);
	pci_flags(e, devcap_bits, cap);
	if (is_endpoint(type))
		pci_flag(e, "FLReset", cap >> 28 & 1);
	pci_line(e, "DevCtl:\t", "dev_ctl");
	pci_flags(e, error_bits, control);
	pci_more(e);
	pci_flags(e, devctl_bits, control);
	if (type == 0x7)
		pci_flag(e, "BrConfRtry", control >> 15 & 1);
	else if (cap >> 28 & 1)
		pci_flag(e, "FLReset", control >> 15 & 1);
	pci_more(e);
	pci_count(e, "MaxPayload ", 128u << (control >> 5 & 7), " bytes");
	pci_count(e, "MaxReadReq ", 128u << (control >> 12 & 7), " bytes");
	pci_line(e, "DevSta:\t", "dev_sta");
	pci_flags(e, error_bits, status);
	pci_flags(e, devsta_bits, status);
}

static const struct pci_bit lnkcap_bits[] = {
	{ "ClockPM", 18 }, { "Surprise", 19 },	  { "LLActRep", 20 },
	{ "BwNot", 21 },   { "ASPMOptComp", 22 }, { NULL, 0 },
};
static const struct pci_bit lnkctl_bits[] = {
	{ "LnkDisable", 4 }, { "CommClk", 6 }, { "ExtSynch", 7 },  { "ClockPM", 8 },
	{ "AutWidDis", 9 },  { "BWInt", 10 },  { "AutBWInt", 11 }, { NULL, 0 },
};
static const struct pci_bit lnksta_bits[] = {
	{ "TrErr", 10 },  { "Train", 11 },   { "SlotClk", 12 }, { "DLActive", 13 },
	{ "BWMgmt", 14 }, { "ABWMgmt", 15 }, { NULL, 0 },
};

static void link_capabilities(struct pci_emit *e, uint32_t cap)
{
	static const char *const aspm[] = { "not supported", "L0s", "L1", "L0s L1" };
	static const char *const l0s[] = { "<64ns", "<128ns", "<256ns", "<512ns",
					   "<1us",  "<2us",   "<4us",	">4us" };
	static const char *const l1[] = { "<1us",  "<2us",  "<4us",  "<8us",
					  "<16us", "<32us", "<64us", ">64us" };

	pci_line(e, "LnkCap:\t", "lnk_cap");
	pci_count(e, "Port #", cap >> 24, "");
	pci_name(e, "Speed ", NAME_AT(speeds, cap & 0xf));
	pci_count(e, "width|Width x", cap >> 4 & 0x3f, "");
	pci_name(e, "ASPM ", aspm[cap >> 10 & 3]);
	if (cap & 0x400)
		pci_name(e, "Exit Latency L0s ", l0s[cap >> 12 & 7]);
	if (cap & 0x800)
		pci_name(e, cap & 0x400 ? "exit latency l1|L1 " : "Exit Latency L1 ",
			 l1[cap >> 15 & 7]);
	pci_more(e);
	pci_flags(e, lnkcap_bits, cap);
}

static void link_registers(struct pci_emit *e, const struct pci_link *l)
{
	static const char *const aspm[] = { "Disabled", "L0s Enabled", "L1 Enabled",
					    "L0s L1 Enabled" };
	uint32_t control = reg16(l, 0x10), status = reg16(l, 0x12);

	link_capabilities(e, reg32(l, 0x0c));
	pci_line(e, "LnkCtl:\t", "lnk_ctl");
	pci_name(e, "ASPM ", aspm[control & 3]);
	pci_count(e, "RCB ", control & 8 ? 128 : 64, " bytes");
	pci_more(e);
	pci_flags(e, lnkctl_bits, control);
	pci_line(e, "LnkSta:\t", "lnk_sta");
	pci_name(e, "Speed ", NAME_AT(speeds, status & 0xf));
	pci_count(e, "width|Width x", status >> 4 & 0x3f, "");
	pci_more(e);
	pci_flags(e, lnksta_bits, status);
}

static const struct pci_bit devcap2_bits[] = {
	{ "TimeoutDis", 4 },	{ "NROPrPrP", 10 },    { "LTR", 11 },
	{ "10BitTagComp", 16 }, { "10BitTagReq", 17 }, { "ExtFmt", 20 },
	{ "EETLPPrefix", 21 },	{ "FRS", 31 },	       { NULL, 0 },
};
static const struct pci_bit devctl2_bits[] = {
	{ "TimeoutDis", 4 },   { "IDOReq", 8 },		 { "IDOCompl", 9 }, { "LTR", 10 },
	{ "10BitTagReq", 12 }, { "EETLPPrefixBlk", 15 }, { NULL, 0 },
};

static void device_registers_2(struct pci_emit *e, const struct pci_link *l)
{
	static const char *const ranges[] = {
		[0x0] = "Not Supported", [0x1] = "Range A",    [0x2] = "Range B",
		[0x3] = "Range AB",	 [0x6] = "Range BC",   [0x7] = "Range ABC",
		[0xe] = "Range BCD",	 [0xf] = "Range ABCD",
	};
	static const char *const values[] = {
		[0x0] = "50us to 50ms", [0x1] = "50us to 100us", [0x2] = "1ms to 10ms",
		[0x5] = "16ms to 55ms", [0x6] = "65ms to 210ms", [0x9] = "260ms to 900ms",
		[0xa] = "1s to 3.5s",	[0xd] = "4s to 13s",	 [0xe] = "17s to 64s",
	};
	uint32_t cap = reg32(l, 0x24), control = reg16(l, 0x28);

	pci_line(e, "DevCap2: ", "dev_cap2");
	pci_name(e, "Completion Timeout: ", NAME_AT(ranges, cap & 0xf));
	pci_flags(e, devcap2_bits, cap);
	pci_line(e, "DevCtl2: ", "dev_ctl2");
	pci_name(e, "Completion Timeout: ", NAME_AT(values, control & 0xf));
	pci_flags(e, devctl2_bits, control);
}

static const struct pci_bit lnkcap2_bits[] = {
	{ "Crosslink", 8 }, { "Retimer", 23 }, { "2Retimers", 24 },
	{ "DRS", 31 },	    { NULL, 0 },
};
static const struct pci_bit lnkctl2_bits[] = {
	{ "EnterCompliance", 4 },
	{ "SpeedDis", 5 },
	{ NULL, 0 },
};
static const struct pci_bit lnksta2_bits[] = {
	{ "EqualizationComplete", 1 },	  { "EqualizationPhase1", 2 },
	{ "EqualizationPhase2", 3 },	  { "EqualizationPhase3", 4 },
	{ "LinkEqualizationRequest", 5 }, { NULL, 0 },
};

static void link_registers_2(struct pci_emit *e, const struct pci_link *l)
{
	uint32_t cap = reg32(l, 0x2c), control = reg16(l, 0x30), status = reg16(l, 0x32);

	if (cap) {
		pci_line(e, "LnkCap2: Supported Link Speeds:", "lnk_cap2");
		for (unsigned i = 1; i < COUNT(speeds); i++) {
			if (cap >> i & 1)
				pci_say(e, " %s", speeds[i]);
			pci_json_flag(e, "speeds", speeds[i], cap >> i & 1);
		}
		pci_say(e, ", ");
		pci_flags(e, lnkcap2_bits, cap);
	}
	pci_line(e, "LnkCtl2: ", "lnk_ctl2");
	pci_name(e, "Target Link Speed: ", NAME_AT(speeds, control & 0xf));
	pci_flags(e, lnkctl2_bits, control);
	pci_line(e, "LnkSta2: ", "lnk_sta2");
	pci_name(e, "Current De-emphasis Level: ", status & 1 ? "-3.5dB" : "-6dB");
	pci_more(e);
	pci_flags(e, lnksta2_bits, status);
}

void pci_express(struct pci_emit *e, const struct pci_link *l)
{
	unsigned flags = reg16(l, 2), type = flags >> 4 & 0xf, version = flags & 0xf;
	const char *name = NAME_AT(port_types, type);

	pci_say(e, " (v%u) %s", version, name);
	if (type == 4 || type == 6)
		pci_say(e, " (Slot%c)", flags & 0x100 ? '+' : '-');
	pci_say(e, ", MSI %02x", flags >> 9 & 0x1f);
	pci_json_count(e, "version", version);
	pci_json_text(e, "type", name);
	pci_json_count(e, "msi", flags >> 9 & 0x1f);
	device_registers(e, l, type);
	if (has_link(type))
		link_registers(e, l);
	if (version < 2)
		return;
	device_registers_2(e, l);
	if (has_link(type))
		link_registers_2(e, l);
}

/* ---- Extended capabilities --------------------------------------------------------- */

static const struct pci_bit uncorrectable_bits[] = {
	{ "DLP", 4 },	   { "SDES", 5 },	{ "TLP", 12 },	    { "FCP", 13 },
	{ "CmpltTO", 14 }, { "CmpltAbrt", 15 }, { "UnxCmplt", 16 }, { "RxOF", 17 },
	{ "MalfTLP", 18 }, { "ECRC", 19 },	{ "UnsupReq", 20 }, { "ACSViol", 21 },
	{ NULL, 0 },
};
static const struct pci_bit correctable_bits[] = {
	{ "RxErr", 0 },	   { "BadTLP", 6 },	     { "BadDLLP", 7 }, { "Rollover", 8 },
	{ "Timeout", 12 }, { "AdvNonFatalErr", 13 }, { NULL, 0 },
};
static const struct pci_bit aercap_bits[] = {
	{ "ECRCGenCap", 5 },  { "ECRCGenEn", 6 },     { "ECRCChkCap", 7 },
	{ "ECRCChkEn", 8 },   { "MultHdrRecCap", 9 }, { "MultHdrRecEn", 10 },
	{ "TLPPfxPres", 11 }, { "HdrLogCap", 12 },    { NULL, 0 },
};

static void error_reporting(struct pci_emit *e, const struct pci_link *l)
{
	pci_line(e, "UESta:\t", "ue_sta");
	pci_flags(e, uncorrectable_bits, reg32(l, 0x04));
	pci_line(e, "UEMsk:\t", "ue_msk");
	pci_flags(e, uncorrectable_bits, reg32(l, 0x08));
	pci_line(e, "UESvrt:\t", "ue_svrt");
	pci_flags(e, uncorrectable_bits, reg32(l, 0x0c));
	pci_line(e, "CESta:\t", "ce_sta");
	pci_flags(e, correctable_bits, reg32(l, 0x10));
	pci_line(e, "CEMsk:\t", "ce_msk");
	pci_flags(e, correctable_bits, reg32(l, 0x14));
	pci_line(e, "AERCap:\t", "aer_cap");
	pci_hex(e, "First Error Pointer: ", reg32(l, 0x18) & 0x1f, 2);
	pci_more(e);
	pci_flags(e, aercap_bits, reg32(l, 0x18));
	pci_line(e, "HeaderLog:", "header_log");
	for (unsigned i = 0; i < 4; i++) {
		static const char *const keys[] = { "dword0", "dword1", "dword2",
						    "dword3" };

		pci_say(e, " %08" PRIx32, reg32(l, 0x1c + 4 * i));
		pci_json_hex(e, keys[i], reg32(l, 0x1c + 4 * i), 8);
	}
}

static void serial_number(struct pci_emit *e, const struct pci_link *l)
{
	for (unsigned i = 0; i < 8; i++)
		pci_say(e, "%c%02x", i ? '-' : ' ', reg8(l, 0x0b - i));
	pci_json_hex(e, "serial", (uint64_t)reg32(l, 8) << 32 | reg32(l, 4), 16);
}

static void vendor_extended(struct pci_emit *e, const struct pci_link *l)
{
	uint32_t head = reg32(l, 4);

	pci_say(e, ": ");
	pci_hex(e, "ID=", head & 0xffff, 4);
	pci_count(e, "Rev=", head >> 16 & 0xf, "");
	pci_say(e, " Len=%03" PRIx32, head >> 20);
	pci_json_count(e, "length", head >> 20);
	pci_own_length(e, l, head >> 20, 8);
}

static void designated_vendor(struct pci_emit *e, const struct pci_link *l)
{
	uint32_t head = reg32(l, 4);

	pci_say(e, ": ");
	pci_hex(e, "Vendor=", head & 0xffff, 4);
	pci_hex(e, "ID=", reg16(l, 8), 4);
	pci_count(e, "Rev=", head >> 16 & 0xf, "");
	pci_say(e, " Len=%03" PRIx32, head >> 20);
	pci_json_count(e, "length", head >> 20);
	pci_own_length(e, l, head >> 20, 10);
}

static const struct pci_bit acs_bits[] = {
	{ "SrcValid", 0 },    { "TransBlk", 1 },    { "ReqRedir", 2 },
	{ "CmpltRedir", 3 },  { "UpstreamFwd", 4 }, { "EgressCtrl", 5 },
	{ "DirectTrans", 6 }, { NULL, 0 },
};

static void access_control(struct pci_emit *e, const struct pci_link *l)
{
	pci_line(e, "ACSCap:\t", "acs_cap");
	pci_flags(e, acs_bits, reg16(l, 4));
	pci_line(e, "ACSCtl:\t", "acs_ctl");
	pci_flags(e, acs_bits, reg16(l, 6));
}

static const struct pci_bit ari_bits[] = { { "MFVC", 0 }, { "ACS", 1 }, { NULL, 0 } };

static void routing_id(struct pci_emit *e, const struct pci_link *l)
{
	pci_line(e, "ARICap:\t", "ari_cap");
	pci_flags(e, ari_bits, reg16(l, 4));
	pci_count(e, "Next Function: ", reg8(l, 5), "");
	pci_line(e, "ARICtl:\t", "ari_ctl");
	pci_flags(e, ari_bits, reg16(l, 6));
	pci_count(e, "Function Group: ", reg16(l, 6) >> 4 & 7, "");
}

static void address_translation(struct pci_emit *e, const struct pci_link *l)
{
	pci_line(e, "ATSCap:\t", "ats_cap");
	pci_hex(e, "Invalidate Queue Depth: ", reg16(l, 4) & 0x1f, 2);
	pci_line(e, "ATSCtl:\t", "ats_ctl");
	pci_flag(e, "Enable", reg16(l, 6) & 0x8000);
	pci_hex(e, "Smallest Translation Unit: ", reg16(l, 6) & 0x1f, 2);
}

static const struct pci_bit iovctl_bits[] = {
	{ "Enable", 0 }, { "Migration", 1 },	{ "Interrupt", 2 },
	{ "MSE", 3 },	 { "ARIHierarchy", 4 }, { NULL, 0 },
};

static void io_virtualization(struct pci_emit *e, const struct pci_link *l)
{
	pci_line(e, "IOVCap:\t", "iov_cap");
	pci_flag(e, "Migration", reg32(l, 0x04) & 1);
	pci_line(e, "IOVCtl:\t", "iov_ctl");
	pci_flags(e, iovctl_bits, reg16(l, 0x08));
	pci_line(e, "", "vfs");
	pci_count(e, "Initial VFs: ", reg16(l, 0x0c), "");
	pci_count(e, "Total VFs: ", reg16(l, 0x0e), "");
	pci_count(e, "Number of VFs: ", reg16(l, 0x10), "");
	pci_hex(e, "Function Dependency Link: ", reg8(l, 0x12), 2);
	pci_line(e, "VF ", "vf");
	pci_count(e, "offset: ", reg16(l, 0x14), "");
	pci_count(e, "stride: ", reg16(l, 0x16), "");
	pci_hex(e, "Device ID: ", reg16(l, 0x1a), 4);
	pci_line(e, "", "page_size");
	pci_hex(e, "Supported Page Size: ", reg32(l, 0x1c), 8);
	pci_hex(e, "System Page Size: ", reg32(l, 0x20), 8);
}

static const struct pci_bit pasid_bits[] = { { "Exec", 1 }, { "Priv", 2 }, { NULL, 0 } };

static void process_space(struct pci_emit *e, const struct pci_link *l)
{
	pci_line(e, "PASIDCap: ", "pasid_cap");
	pci_flags(e, pasid_bits, reg16(l, 4));
	pci_count(e, "Max PASID Width: ", reg16(l, 4) >> 8 & 0x1f, "");
	pci_line(e, "PASIDCtl: ", "pasid_ctl");
	pci_flag(e, "Enable", reg16(l, 6) & 1);
	pci_flags(e, pasid_bits, reg16(l, 6));
}

/* Ten bits of value and three of scale: by 32, from a nanosecond on. */
static uint64_t tolerated(unsigned reg)
{
	return (uint64_t)(reg & 0x3ff) << 5 * (reg >> 10 & 7);
}

static void latency_tolerance(struct pci_emit *e, const struct pci_link *l)
{
	pci_line(e, "", "max_latency");
	pci_count(e, "Max snoop latency: ", tolerated(reg16(l, 4)), "ns");
	pci_line(e, "", "max_latency_no_snoop");
	pci_count(e, "Max no snoop latency: ", tolerated(reg16(l, 6)), "ns");
}

const struct pci_cap_row pci_extended_caps[] = {
	{ 0x00, "Null", 4, NULL, NULL },
	{ 0x01, "Advanced Error Reporting", 0x2c, NULL, error_reporting },
	{ 0x02, "Virtual Channel", 4, NULL, NULL },
	{ 0x03, "Device Serial Number", 12, NULL, serial_number },
	{ 0x04, "Power Budgeting", 4, NULL, NULL },
	{ 0x05, "Root Complex Link", 4, NULL, NULL },
	{ 0x06, "Root Complex Internal Link", 4, NULL, NULL },
	{ 0x07, "Root Complex Event Collector", 4, NULL, NULL },
	{ 0x08, "Multi-Function Virtual Channel", 4, NULL, NULL },
	{ 0x09, "Virtual Channel", 4, NULL, NULL },
	{ 0x0a, "Root Bridge Control Block", 4, NULL, NULL },
	{ 0x0b, "Vendor Specific Information", 8, NULL, vendor_extended },
	{ 0x0c, "Configuration Access Correlation", 4, NULL, NULL },
	{ 0x0d, "Access Control Services", 8, NULL, access_control },
	{ 0x0e, "Alternative Routing-ID Interpretation (ARI)", 8, NULL, routing_id },
	{ 0x0f, "Address Translation Service (ATS)", 8, NULL, address_translation },
	{ 0x10, "Single Root I/O Virtualization (SR-IOV)", 0x40, NULL,
	  io_virtualization },
	{ 0x11, "Multi-Root I/O Virtualization", 4, NULL, NULL },
	{ 0x12, "Multicast", 4, NULL, NULL },
	{ 0x13, "Page Request Interface (PRI)", 4, NULL, NULL },
	{ 0x15, "Physical Resizable BAR", 4, NULL, NULL },
	{ 0x16, "Dynamic Power Allocation", 4, NULL, NULL },
	{ 0x17, "Transaction Processing Hints", 4, NULL, NULL },
	{ 0x18, "Latency Tolerance Reporting", 8, NULL, latency_tolerance },
	{ 0x19, "Secondary PCI Express", 4, NULL, NULL },
	{ 0x1a, "Protocol Multiplexing", 4, NULL, NULL },
	{ 0x1b, "Process Address Space ID (PASID)", 8, NULL, process_space },
	{ 0x1c, "LN Requester", 4, NULL, NULL },
	{ 0x1d, "Downstream Port Containment", 4, NULL, NULL },
	{ 0x1e, "L1 PM Substates", 4, NULL, NULL },
	{ 0x1f, "Precision Time Measurement", 4, NULL, NULL },
	{ 0x20, "PCI Express over M-PHY", 4, NULL, NULL },
	{ 0x21, "FRS Queueing", 4, NULL, NULL },
	{ 0x22, "Readiness Time Reporting", 4, NULL, NULL },
	{ 0x23, "Designated Vendor-Specific", 10, NULL, designated_vendor },
	{ 0x24, "Virtual Resizable BAR", 4, NULL, NULL },
	{ 0x25, "Data Link Feature", 4, NULL, NULL },
	{ 0x26, "Physical Layer 16.0 GT/s", 4, NULL, NULL },
	{ 0x27, "Lane Margining at the Receiver", 4, NULL, NULL },
	{ 0x28, "Hierarchy ID", 4, NULL, NULL },
	{ 0x29, "Native PCIe Enclosure Management", 4, NULL, NULL },
	{ 0x2a, "Physical Layer 32.0 GT/s", 4, NULL, NULL },
	{ 0x2b, "Alternate Protocol", 4, NULL, NULL },
	{ 0x2c, "System Firmware Intermediary", 4, NULL, NULL },
	{ 0x2d, "Shadow Functions", 4, NULL, NULL },
	{ 0x2e, "Data Object Exchange", 4, NULL, NULL },
	{ 0x2f, "Device 3", 4, NULL, NULL },
	{ 0x30, "Integrity and Data Encryption", 4, NULL, NULL },
	{ 0x31, "Physical Layer 64.0 GT/s", 4, NULL, NULL },
	{ 0x32, "Flit Logging", 4, NULL, NULL },
	{ 0x33, "Flit Performance Measurement", 4, NULL, NULL },
	{ 0x34, "Flit Error Injection", 4, NULL, NULL },
	{ 0, NULL, 0, NULL, NULL },
};
