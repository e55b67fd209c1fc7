/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * Whose interrupt lines are: the PCI device and its driver, as sysfs has them. Read when the first line is
 * asked for, and again for a line that was not there then. One thread.
 */
#include <stdint.h>

#include "base/attr.h"
#include "base/mem.h"

#define PCI_DEVICES_PATH "/sys/bus/pci/devices"

struct irq_lines;
/* `path`: where the devices' directories are; borrowed. */
MUST_USE struct irq_lines *irq_lines_new(const char *path);
void irq_lines_free(struct irq_lines *l);
AUTO_PTR(irq_lines)

/* "nvme 0000:00:04.0"; NULL: no PCI device's, or nobody knows. Valid until the next call. */
MUST_USE const char *irq_line_device(struct irq_lines *l, uint32_t line);
