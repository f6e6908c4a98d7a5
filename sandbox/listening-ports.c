/*
 * Tells which ports of this machine's loopback this user's programs listen on: a JSON line for every change. The first
 * has all that are open, as {"opened":[3000],"closed":[]}. The kernel is asked for listening sockets only, which costs
 * a hundredth of reading /proc/net. Ends with its standard input.
 *
 * In C for its memory: 0.2 MiB of its own in every sandbox, where the same in Python takes 4.3.
 */
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
  EVERY_MS = 500,
  /* Somebody who opens more is not shown all of them; a line stays short. */
  MOST_PORTS = 64,
  PORTS = 65536,
  BUFFER_BYTES = 32768,
};

struct request {
  struct nlmsghdr header;
  struct inet_diag_req_v2 body;
};

/* Whether a connection to 127.0.0.1 or ::1 gets there. */
static bool is_reachable(const struct inet_diag_msg *socket) {
  const unsigned char *address = (const unsigned char *)socket->id.idiag_src;
  static const unsigned char none[16], mapped[12] = {[10] = 0xff, [11] = 0xff};
  static const unsigned char local4[4] = {127, 0, 0, 1}, local6[16] = {[15] = 1};
  if (socket->idiag_family == AF_INET6) {
    if (memcmp(address, none, 16) == 0 || memcmp(address, local6, 16) == 0) return true;
    if (memcmp(address, mapped, 12) != 0) return false;
    address += 12;
  }
  return memcmp(address, none, 4) == 0 || memcmp(address, local4, 4) == 0;
}

/* Adds this user's listening sockets of a family. False with errno where the kernel does not tell. */
static bool add_listening(int link, int family, uid_t uid, bool *ports) {
  struct request request = {
      .header = {.nlmsg_len = sizeof request, .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
      .body = {.sdiag_family = (unsigned char)family, .sdiag_protocol = IPPROTO_TCP, .idiag_states = 1 << TCP_LISTEN},
  };
  if (send(link, &request, sizeof request, 0) < 0) return false;
  for (;;) {
    static union {
      struct nlmsghdr header;
      char bytes[BUFFER_BYTES];
    } buffer;
    ssize_t got = recv(link, buffer.bytes, sizeof buffer, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return false;
    int left = (int)got;
    for (struct nlmsghdr *header = &buffer.header; NLMSG_OK(header, left); header = NLMSG_NEXT(header, left)) {
      if (header->nlmsg_type == NLMSG_DONE) return true;
      if (header->nlmsg_type == NLMSG_ERROR) {
        errno = -((struct nlmsgerr *)NLMSG_DATA(header))->error;
        return false;
      }
      const struct inet_diag_msg *socket = NLMSG_DATA(header);
      if (socket->idiag_uid == uid && is_reachable(socket)) ports[ntohs(socket->id.idiag_sport)] = true;
    }
  }
}

static void print_list(const char *name, const bool *now, const bool *before) {
  const char *comma = "";
  printf("\"%s\":[", name);
  for (int port = 1; port < PORTS; port++) {
    if (!now[port] || before[port]) continue;
    printf("%s%d", comma, port);
    comma = ",";
  }
  printf("]");
}

int main(void) {
  static bool first[PORTS], second[PORTS];
  bool *known = first, *found = second;
  bool is_first = true;
  int link = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
  if (link < 0) return perror("netlink"), 1;
  for (;;) {
    memset(found, 0, PORTS * sizeof *found);
    if (!add_listening(link, AF_INET, getuid(), found)) return perror("sock_diag"), 1;
    /* A machine without IPv6. */
    if (!add_listening(link, AF_INET6, getuid(), found) && errno != ENOENT) return perror("sock_diag"), 1;
    for (int port = 1, count = 0; port < PORTS; port++) {
      if (found[port] && ++count > MOST_PORTS) found[port] = false;
    }
    if (is_first || memcmp(found, known, PORTS * sizeof *found) != 0) {
      printf("{");
      print_list("opened", found, known);
      printf(",");
      print_list("closed", known, found);
      printf("}\n");
      if (fflush(stdout) != 0) return 0;
      bool *last = known;
      known = found;
      found = last;
      is_first = false;
    }
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    char ignored[512];
    if (poll(&input, 1, EVERY_MS) > 0 && read(STDIN_FILENO, ignored, sizeof ignored) <= 0) return 0;
  }
}
