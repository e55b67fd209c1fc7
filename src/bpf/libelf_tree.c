/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the static libelf of elfutils 0.192 (Debian 13) calls and does not contain: its search
 * tree, left in an archive that is not installed (sourceware bug 32293, fixed in 0.193). Weak, so
 * a libelf that brings its own uses that.
 *
 * The tree starts with its root; a lock may follow, which a handle used by one thread at a time
 * does not need. libbpf and libdw use their handles so here.
 */
#include <search.h>
#include <stddef.h>

struct search_tree {
	void *root;
};

typedef int tree_compare_fn(const void *left, const void *right);

void eu_search_tree_init(struct search_tree *tree);
void eu_search_tree_fini(struct search_tree *tree, void (*node_free)(void *node));
void *eu_tsearch(const void *key, struct search_tree *tree, tree_compare_fn *compare);
void *eu_tfind(const void *key, struct search_tree *tree, tree_compare_fn *compare);
void *eu_tdelete(const void *key, struct search_tree *tree, tree_compare_fn *compare);

__attribute__((weak)) void eu_search_tree_init(struct search_tree *tree)
{
	tree->root = NULL;
}

__attribute__((weak)) void eu_search_tree_fini(struct search_tree *tree,
					       void (*node_free)(void *node))
{
	tdestroy(tree->root, node_free);
	tree->root = NULL;
}

__attribute__((weak)) void *eu_tsearch(const void *key, struct search_tree *tree,
				       tree_compare_fn *compare)
{
	return tsearch(key, &tree->root, compare);
}

__attribute__((weak)) void *eu_tfind(const void *key, struct search_tree *tree,
				     tree_compare_fn *compare)
{
	return tfind(key, &tree->root, compare);
}

__attribute__((weak)) void *eu_tdelete(const void *key, struct search_tree *tree,
				       tree_compare_fn *compare)
{
	return tdelete(key, &tree->root, compare);
}
