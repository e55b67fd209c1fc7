/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * How the kernel is made to obey: one body, two programs. A security module's hook (rank 1), or, where "bpf" is
 * not among the active modules, the result of the function that asks them, changed (rank 2).
 *
 * The body is run once for the policy in force, and once for one that lies beside it, which refuses nothing.
 *
 *	GUARD(sb_umount, umounts, struct vfsmount *mnt) { ... `strength`, `beside`; 0, or it is refused }
 *	GUARD_OF(bprm_check_security, bprm_check, runs, ...)	where the function is not called as the hook
 *	GUARD_TAGGED(tags, hook, function, name, ...)		with NEED(), OPTIONAL()
 */
#pragma once

#include "guard.h"

#define EPERM 1

enum strength {
	STRENGTH_LSM = 1,
	STRENGTH_FMOD_RET = 2,
};

/* The verdict as two constants: of 0 or -1 clang makes a negation, and 6.12 loses sight of what one yields. */
static __always_inline int guard_says(int verdict)
{
	if (!verdict)
		return 0;
	asm volatile("");
	return -EPERM;
}

/* clang-format off */
#define GUARD_BODY_(name, strength, beside, ctx, args...) name##_body(strength, beside, ##args)
#define GUARD_BODY(name, strength, beside, args...)       GUARD_BODY_(name, strength, beside, args)
#define GUARD_RUN(name, strength, args...)                                     \
	int verdict = GUARD_BODY(name, strength, false, ___bpf_ctx_cast(args)); \
	if (policy_beside() != POLICY_NOBODY)                                  \
		GUARD_BODY(name, strength, true, ___bpf_ctx_cast(args));       \
	return guard_says(verdict)
#define GUARD_TAGGED(tags, hook, function, name, args...)                                               \
	_Pragma("GCC diagnostic push") _Pragma("GCC diagnostic ignored \"-Wint-conversion\"")           \
	static __always_inline int name##_body(u32 strength, bool beside, ##args);                      \
	ALT(name, 1) tags SEC("?lsm/" #hook) int name##_lsm(unsigned long long *ctx)                    \
	{                                                                                               \
		GUARD_RUN(name, STRENGTH_LSM, args);                                                    \
	}                                                                                               \
	ALT(name, 2) tags SEC("?fmod_ret/security_" #function) int name##_fmod(unsigned long long *ctx) \
	{                                                                                               \
		GUARD_RUN(name, STRENGTH_FMOD_RET, args);                                               \
	}                                                                                               \
	_Pragma("GCC diagnostic pop") static __always_inline int name##_body(                           \
		u32 strength, bool beside, ##args)
#define GUARD_OF(hook, function, name, args...) GUARD_TAGGED(, hook, function, name, ##args)
#define GUARD(hook, name, args...)              GUARD_TAGGED(, hook, hook, name, ##args)
/* clang-format on */
