/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * The guard of files: refuses, or only tells, what rules say about opening, running, making, removing,
 * renaming, linking, cutting and changing them. file_rules.h finds the rules, file_judge.h decides;
 * file_after.h is for kernels that refuse nothing. Which of all these programs are loaded, the rules say.
 *
 * Each hook is there twice: as a security module's, and, where "bpf" is not among the active ones, by
 * changing the result of the function that asks them.
 *
 * Running a program is seen where the kernel opens it: that holds for scripts, their interpreters and
 * the loader that an ELF file names, before anything of the old program is given up. What a process
 * loads by itself is seen as a mapping.
 */
#define EVENT_MAX 8960 /* two whole paths and the struct */
#include "guard.h"

#include "file_beside.h"

PROBE(file, "guard", "Rules about files", INTERNAL SLOTS(64));

#define PROT_READ 1
#define PROT_EXEC 4

#define RENAME_EXCHANGE 2

#define ATTR_SIZE  (1 << 3)
#define ATTR_FORCE (1 << 9) /* a part of something else, which has been judged */

/*
 * One body, two programs: LSM (rank 1) and fmod_ret (rank 2).
 *	GUARD(file_open, opens, struct file *file) { ... 0 or -EACCES }
 */
/* clang-format off */
#define GUARD_CALL_(name, strength, ctx, args...) name##_body(ctx, strength, ##args)
#define GUARD_CALL(name, strength, args...)       GUARD_CALL_(name, strength, args)
#define GUARD(hook, name, args...)                                                  \
	_Pragma("GCC diagnostic push") _Pragma("GCC diagnostic ignored \"-Wint-conversion\"")  \
	static __always_inline int name##_body(void *ctx, u32 strength, ##args);               \
	ALT(name, 1) SEC("?lsm/" #hook) int name##_lsm(unsigned long long *ctx)           \
	{                                                                                      \
		return GUARD_CALL(name, FILE_STRENGTH_LSM, ___bpf_ctx_cast(args));             \
	}                                                                                      \
	ALT(name, 2) SEC("?fmod_ret/security_" #hook) int name##_fmod(unsigned long long *ctx) \
	{                                                                                      \
		return GUARD_CALL(name, FILE_STRENGTH_FMOD_RET, ___bpf_ctx_cast(args));        \
	}                                                                                      \
	_Pragma("GCC diagnostic pop") static __always_inline int name##_body(                  \
		void *ctx, u32 strength, ##args)
/* clang-format on */

/* While nothing is in force. POLICY_NOBODY: there is no trial either. */
static __noinline u32 trial_generation(void)
{
	u32 zero = 0, *trial = bpf_map_lookup_elem(&file_trial, &zero);

	return trial && *trial ? *trial - 1 : POLICY_NOBODY;
}

/* The filter of a generation; NULL: it has no rules about files. */
static __always_inline const struct file_filter *filter_of(u32 gen)
{
	struct file_filter *filter;

	if (gen == POLICY_NOBODY)
		return NULL;
	filter = bpf_map_lookup_elem(&file_filter, &gen);
	return filter && filter->any ? filter : NULL;
}

#define FMODE_READ  1
#define FMODE_WRITE 2
#define FMODE_EXEC  0x20 /* as a flag of open: the kernel opens it to run it */
#define O_TRUNC     01000

static __always_inline u32 mode_operations(u32 mode)
{
	return (mode & FMODE_READ ? FILE_OPERATION_READ : 0) |
	       (mode & FMODE_WRITE ? FILE_OPERATION_WRITE : 0);
}

/* Not before it is asked for: most files no rule is about. */
static __always_inline u32 operation_bits(const struct operation *op)
{
	u32 flags;

	if (op->bits)
		return op->bits;
	flags = op->file->f_flags;
	if (flags & FMODE_EXEC)
		return FILE_OPERATION_EXEC;
	return mode_operations(op->file->f_mode) | (flags & O_TRUNC ? FILE_OPERATION_WRITE : 0);
}

static __always_inline void request_fill(struct file_request *request, const struct operation *op)
{
	struct vfsmount *mnt = operation_mount(op);

	request->inode = operation_inode(op);
	request->dentry = operation_dentry(op);
	request->mount = mnt ? mount_of(mnt) : NULL;
	request->reached = mnt;
	request->file = op->opened ? op->file : NULL;
	request->operations = operation_bits(op);
	request->strength = op->strength;
}

/* The same operation by the policy that lies beside the one in force. Nothing is refused by it, also not
 * when there is no room for the request. */
static __always_inline void judge_beside(const struct operation *op)
{
	struct file_request *request = request_begin();
	int reach;
	u32 at;

	if (!request)
		return;
	request_fill(request, op);
	request->verdict.beside = 1;
	at = request->at;
	reach = beside_self(at);
	if (reach >= BESIDE_PLACE)
		beside_place(at, 0);
	if (reach == BESIDE_ABOVE) {
		beside_place(at, 1);
		beside_above(at);
	}
	if (reach != BESIDE_NOTHING)
		request_judge(at);
	request_end(request);
}

static __always_inline int judge_by(u32 gen, struct operation *op)
{
	const struct file_filter *filter = filter_of(gen);
	struct file_request *request;
	struct file_found found;
	u64 known = 0, world = 0;
	bool lasting;
	int verdict;

	if (!filter || plainly_free(filter, op, &known))
		return 0;
	filter = filter_of(gen); /* anew: to the verifier all ways to here are one then */
	if (!filter)
		return 0;
	if (DIRECT && op->opened && op->strength != FILE_STRENGTH_AFTER) {
		world = world_now(filter);
		verdict = told_before(op->file, filter,
				      TOLD_HOW(gen, op->strength, operation_bits(op)), world);
		if (verdict <= 0)
			return verdict ? -EACCES : 0;
	}
	if (op->opened)
		op->file = read_after(op->file, known + world);
	else
		op->entry = read_after(op->entry, known);
	found = (struct file_found){ .gen = gen };
	lasting = rules_find(&found, filter, operation_inode(op), operation_dentry(op),
			     operation_mount(op));
	if (set_empty(&found.rules)) {
		if (lasting)
			known_keep(known);
		return found.flags & FILE_IS_TRIAL ? -EACCES : 0;
	}
	request = request_begin();
	if (!request)
		return -EACCES; /* as good as never: nobody can tell that it may pass */
	request->found = found;
	request_fill(request, op);
	request->world = world;
	verdict = request_judge(request->at);
	request_end(request);
	return verdict ? -EACCES : 0;
}

static __always_inline int judge(struct operation op)
{
	u32 beside, gen = policy_generations(&beside);
	int verdict;

	if (gen == POLICY_NOBODY)
		gen = trial_generation();
	verdict = judge_by(gen, &op);
	if (beside != POLICY_NOBODY)
		judge_beside(&op);
	return verdict;
}

/* `operations` 0: those that the file's mode tells. */
static __always_inline int judge_file(void *ctx, u32 strength, u32 operations, struct file *file)
{
	struct operation op = {
		.strength = strength, .bits = operations, .opened = true, .file = file
	};

	return judge(op);
}

static __always_inline int judge_name(void *ctx, u32 strength, u32 operations,
				      struct dentry *dentry)
{
	struct operation op = { .strength = strength, .bits = operations, .entry = dentry };

	return judge(op);
}

/* ---- open and run ---- */

GUARD(file_open, opens, struct file *file)
{
	return judge_file(ctx, strength, 0, file);
}

/* A descriptor comes from another process. */
GUARD(file_receive, receives, struct file *file)
{
	return judge_file(ctx, strength, mode_operations(file->f_mode), file);
}

/* The kernel itself maps what it has been let open to run. */
static __always_inline bool in_execve(void)
{
	struct task_struct___subject *task = (void *)current_task();

	return BPF_CORE_READ_BITFIELD_PROBED(task, in_execve);
}

static __always_inline bool reads_imply_exec(void)
{
	struct task_struct___subject *task = (void *)current_task();

	return BPF_CORE_READ(task, personality) & READ_IMPLIES_EXEC;
}

GUARD(mmap_file, maps, struct file *file, unsigned long prot)
{
	if (!file || !(prot & PROT_EXEC || (prot & PROT_READ && reads_imply_exec())) || in_execve())
		return 0;
	return judge_file(ctx, strength, FILE_OPERATION_EXEC, file);
}

GUARD(file_mprotect, protects, struct vm_area_struct *vma, unsigned long asked, unsigned long prot)
{
	struct file *file = vma->vm_file;

	if (!file || !(prot & PROT_EXEC))
		return 0;
	return judge_file(ctx, strength, FILE_OPERATION_EXEC, file);
}

/* ---- names ---- */

GUARD(inode_create, creates, struct inode *dir, struct dentry *dentry)
{
	return judge_name(ctx, strength, FILE_OPERATION_CREATE, dentry);
}

GUARD(inode_mknod, makes_node, struct inode *dir, struct dentry *dentry)
{
	return judge_name(ctx, strength, FILE_OPERATION_CREATE, dentry);
}

GUARD(inode_mkdir, makes_dir, struct inode *dir, struct dentry *dentry)
{
	return judge_name(ctx, strength, FILE_OPERATION_CREATE, dentry);
}

GUARD(inode_symlink, makes_symlink, struct inode *dir, struct dentry *dentry)
{
	return judge_name(ctx, strength, FILE_OPERATION_CREATE, dentry);
}

/* It may be what another directory was, of which something is remembered. */
GUARD(inode_mkdir, renews, struct inode *dir, struct dentry *dentry)
{
	world_renew();
	return 0;
}

static __always_inline bool gen_has_seen(u32 gen, u64 number)
{
	const struct file_filter *filter = bpf_map_lookup_elem(&file_filter, &gen);

	return filter && filter_seen(filter, number);
}

static __always_inline bool is_seen(struct inode *inode)
{
	u64 number = inode->i_ino;

	return gen_has_seen(0, number) || gen_has_seen(1, number);
}

/* Of the entry, which its file system has just taken away: without a name left, the inode's number will be another's.
 * Not before, for it may refuse to. */
static __always_inline void entry_lost(struct dentry *dentry)
{
	struct inode *inode = dentry->d_inode;
	struct file_id id;

	if (!inode || ((struct inode___version *)inode)->i_nlink || !is_seen(inode))
		return;
	id = ID_OF(inode);
	object_forget(&id);
}

/* clang-format off */
ALT(deleted, 1) SEC("?fentry/d_delete")
int BPF_PROG(entry_deleted, struct dentry *dentry)
{
	entry_lost(dentry);
	return 0;
}

ALT(replaced, 1) SEC("?fentry/d_move")
int BPF_PROG(entry_replaced, struct dentry *dentry, struct dentry *target)
{
	entry_lost(target);
	return 0;
}
/* clang-format on */

/* The inode comes to the place `dentry`. */
static __always_inline void name_gained(struct inode *inode, struct dentry *dentry)
{
	struct inode *dir = dentry->d_parent->d_inode;
	struct file_id own, id;
	struct dentry_link link = {};

	if (!inode || !is_seen(dir))
		return;
	own = ID_OF(inode);
	id = ID_OF(dir);
	dentry_link(dentry, &link);
	object_learn_all(&own, &id, &link);
}

GUARD(inode_unlink, unlinks, struct inode *dir, struct dentry *dentry)
{
	return judge_name(ctx, strength, FILE_OPERATION_UNLINK, dentry);
}

GUARD(inode_rmdir, removes_dir, struct inode *dir, struct dentry *dentry)
{
	return judge_name(ctx, strength, FILE_OPERATION_UNLINK, dentry);
}

GUARD(inode_link, links, struct dentry *old, struct inode *dir, struct dentry *made)
{
	int verdict = judge_name(ctx, strength, FILE_OPERATION_LINK, old);

	world_renew(); /* its one name may be another soon */
	if (!verdict)
		verdict = judge_name(ctx, strength, FILE_OPERATION_CREATE, made);
	if (!verdict)
		name_gained(old->d_inode, made);
	return verdict;
}

/* As the result of the function in either case: the module's hook isn't told of an exchange. */
/* clang-format off */
ALT(renames, 1) SEC("?fmod_ret/security_inode_rename")
int BPF_PROG(renames_fmod, struct inode *old_dir, struct dentry *old, struct inode *dir,
	     struct dentry *made, unsigned int flags)
/* clang-format on */
{
	int verdict = judge_name(ctx, FILE_STRENGTH_FMOD_RET, FILE_OPERATION_RENAME, old);

	if (!verdict)
		verdict = judge_name(ctx, FILE_STRENGTH_FMOD_RET,
				     made->d_inode ? FILE_OPERATION_RENAME : FILE_OPERATION_CREATE,
				     made);
	if (verdict)
		return verdict;
	name_gained(old->d_inode, made);
	if (flags & RENAME_EXCHANGE)
		name_gained(made->d_inode, old);
	return 0;
}

/* ---- what a file is ---- */

static __always_inline int judge_change(void *ctx, u32 strength, struct dentry *dentry,
					struct iattr *attr)
{
	u32 valid = attr->ia_valid;

	if (valid & ATTR_FORCE)
		return 0;
	return judge_name(ctx, strength,
			  valid & ATTR_SIZE ? FILE_OPERATION_TRUNCATE : FILE_OPERATION_CHANGE,
			  dentry);
}

/* Identities mapped by the mount came first: in 6.0 to the function, in 6.9 to the hook, which the
 * members and hooks that came with them tell; and in 5.12 to both, for extended attributes. */
#define PRE_60  NEED("!field iattr.ia_vfsuid")
#define FROM_60 NEED("field iattr.ia_vfsuid")
#define PRE_69  NEED("!lsm inode_post_setattr")
#define FROM_69 NEED("lsm inode_post_setattr")

/* clang-format off */
ALT(changes, 1) FROM_69 SEC("?lsm/inode_setattr")
int BPF_PROG(changes_lsm, void *idmap, struct dentry *dentry, struct iattr *attr)
{
	return judge_change(ctx, FILE_STRENGTH_LSM, dentry, attr);
}

ALT(changes, 2) PRE_69 SEC("?lsm/inode_setattr")
int BPF_PROG(changes_lsm_old, struct dentry *dentry, struct iattr *attr)
{
	return judge_change(ctx, FILE_STRENGTH_LSM, dentry, attr);
}

ALT(changes, 3) FROM_60 SEC("?fmod_ret/security_inode_setattr")
int BPF_PROG(changes_fmod, void *idmap, struct dentry *dentry, struct iattr *attr)
{
	return judge_change(ctx, FILE_STRENGTH_FMOD_RET, dentry, attr);
}

ALT(changes, 4) PRE_60 SEC("?fmod_ret/security_inode_setattr")
int BPF_PROG(changes_fmod_old, struct dentry *dentry, struct iattr *attr)
{
	return judge_change(ctx, FILE_STRENGTH_FMOD_RET, dentry, attr);
}

/* One body in each of the forms that a hook about attributes has. */
#define CHANGE(slot, rank, tags, hook, name, strength, args...)               \
	ALT(slot, rank) tags SEC("?" hook) int BPF_PROG(name, ##args)         \
	{                                                                     \
		return judge_name(ctx, strength, FILE_OPERATION_CHANGE, dentry); \
	}
#define CHANGES(slot, rank, other, tags, hook, name, args...)                                           \
	CHANGE(slot, rank, tags, "lsm/" hook, name##_lsm, FILE_STRENGTH_LSM, ##args)             \
	CHANGE(slot, other, tags, "fmod_ret/security_" hook, name##_fmod, FILE_STRENGTH_FMOD_RET, ##args)
#define PRE_512  NEED("!lsm sb_mnt_opts_compat")
#define FROM_512 NEED("lsm sb_mnt_opts_compat")
#define ACL OPTIONAL("access lists (before 6.2 they are seen as extended attributes)")

CHANGES(sets_attribute, 1, 3, FROM_512, "inode_setxattr", sets, void *idmap, struct dentry *dentry)
CHANGES(sets_attribute, 2, 4, PRE_512, "inode_setxattr", sets_old, struct dentry *dentry)
CHANGES(removes_attribute, 1, 3, FROM_512, "inode_removexattr", removes, void *idmap, struct dentry *dentry)
CHANGES(removes_attribute, 2, 4, PRE_512, "inode_removexattr", removes_old, struct dentry *dentry)
CHANGES(sets_acl, 1, 2, NEED("lsm inode_set_acl") ACL, "inode_set_acl", sets_acl, void *idmap, struct dentry *dentry)
CHANGES(removes_acl, 1, 2, NEED("lsm inode_remove_acl") ACL, "inode_remove_acl", removes_acl, void *idmap, struct dentry *dentry)
/* clang-format on */

#include "file_after.h"
