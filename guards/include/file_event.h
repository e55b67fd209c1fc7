/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* What the guard of files tells. */
#pragma once

#include "file_rules.h"
#include "sonda/path.h"

/* As enum policy_operation of the user side. */
enum file_operation {
	FILE_OPERATION_READ = 1 << 0,
	FILE_OPERATION_WRITE = 1 << 1,
	FILE_OPERATION_EXEC = 1 << 2,
	FILE_OPERATION_CREATE = 1 << 3,
	FILE_OPERATION_UNLINK = 1 << 4,
	FILE_OPERATION_RENAME = 1 << 5,
	FILE_OPERATION_LINK = 1 << 6,
	FILE_OPERATION_TRUNCATE = 1 << 7,
	FILE_OPERATION_CHANGE = 1 << 8,
};

enum file_verdict {
	FILE_VERDICT_DENIED = OUTCOME_REFUSED,
	FILE_VERDICT_AUDITED = OUTCOME_AUDITED,
	FILE_VERDICT_TRIPPED = OUTCOME_TRIPPED,
	FILE_VERDICT_ALERTED = OUTCOME_WATCHED,
	FILE_VERDICT_WOULD_DENY = OUTCOME_WOULD_REFUSE,
	FILE_VERDICT_KILLED,
	FILE_VERDICT_DETECTED,
};

EVENT(file_access, "An operation on a file that a rule is about")
{
	struct task task;
	char rule[POLICY_NAME] KIND("str") DOC("the rule");
	enum file_verdict verdict DOC("denied; audited (it would have been); tripped (likewise: the rule refused too much); alerted; would_deny (the rule is of the policy beside the one in force); killed: it was done, and the process killed for it; detected: it was done, though it is denied");
	enum file_operation operation FLAGS DOC("what was to be done with the file");
	enum file_strength strength HIDE DOC("how the kernel is made to obey: a security module's hook, or its result changed; after: it is not, the operation was seen when it had been done");
	u32 device KIND("device") HIDE DOC("the file's device");
	u64 suppressed HIDE DOC("alerts of the rule, and program or user if it counts by them, that were not told since the last that was");
	u64 inode KIND("inode") HIDE DOC("the file's inode number; 0: it was to be made");
	struct text path KIND("path") DOC("the file");
	struct text program KIND("path") DOC("program that the process runs");
};
