/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/test.h"

#include "enrich/cgroups.h"

#define ID64 "3f1c9b7a5d2e4f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8"

/* clang-format off */
static const struct {
	const char *path, *unit, *container;
} paths[] = {
	{ "/", NULL, NULL },
	{ "/system.slice/nginx.service", "nginx.service", NULL },
	{ "/system.slice/system-getty.slice/getty@tty1.service", "getty@tty1.service", NULL },
	{ "/user.slice/user-1000.slice/session-3.scope", "session-3.scope", NULL },
	/* the innermost unit */
	{ "/user.slice/user-1000.slice/user@1000.service/app.slice/app-x.scope", "app-x.scope", NULL },
	{ "/init.scope", "init.scope", NULL },
	{ "/user.slice", NULL, NULL },
	{ "/my.servicesque/x", NULL, NULL },
	/* containers, as their tools name them */
	{ "/docker/" ID64, NULL, "3f1c9b7a5d2e" },
	{ "/system.slice/docker-" ID64 ".scope", "docker-" ID64 ".scope", "3f1c9b7a5d2e" },
	{ "/machine.slice/libpod-" ID64 ".scope/container", "libpod-" ID64 ".scope", "3f1c9b7a5d2e" },
	{ "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod0e3f.slice/cri-containerd-" ID64 ".scope",
	  "cri-containerd-" ID64 ".scope", "3f1c9b7a5d2e" },
	{ "/kubepods/besteffort/pod0e3f/" ID64, NULL, "3f1c9b7a5d2e" },
	{ "/lxc.payload.web/system.slice/cron.service", "cron.service", "web" },
	{ "/machine.slice/machine-deb12.scope", "machine-deb12.scope", "deb12" },
	/* 63 and 65 digits are no id */
	{ "/docker/a" ID64, NULL, NULL },
	{ "/docker/3f1c9b7a5d2e", NULL, NULL },
};
/* clang-format on */

TEST(units_and_containers_are_read_from_paths)
{
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		struct cgroup_names n;

		cgroup_names_of(paths[i].path, &n);
		CHECK_STR(n.path, paths[i].path);
		CHECK_STR(n.unit, paths[i].unit);
		CHECK_STR(n.container, paths[i].container);
		free(n.path);
		free(n.unit);
		free(n.container);
	}
}

TEST(an_id_that_no_cgroup_has_gives_no_names)
{
	struct cgroups *c = cgroups_new();
	const struct cgroup_names *n = cgroups_get(c, UINT64_MAX - 1);

	CHECK(!n || (!n->path && !n->unit && !n->container));
	cgroups_free(c);
}
