/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/* The sinks, for their list (sinks.c) and for each other's files. */
#include "sink/sink.h"

extern const struct sink_ops sink_text, sink_json, sink_csv, sink_folded, sink_pcap, sink_null;
