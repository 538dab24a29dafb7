/* Sends an Ethernet broadcast frame to every port of a host, by UDP and TCP: bare, and after its length as QEMU's
   `-netdev stream` has it, and says how many took it: loopback-frames send ADDRESS. In a machine of a group it counts in FILE
   such frames, and those that the other machine there sends itself each second, by the way that is theirs:
   loopback-frames watch INTERFACE FILE */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { parallel = 200, patience_ms = 3000 };

static unsigned char framed[4 + 64];
static struct sockaddr_in to = {.sin_family = AF_INET};

static long udp(void) {
  long sent = 0;
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  for (int port = 1; port < 65536; port++) {
    to.sin_port = htons(port);
    for (int from = 0; from <= 4; from += 4)
      if (sendto(fd, framed + from, sizeof framed - from, 0, (void *)&to, sizeof to) > 0) sent++;
      else if (errno == ECONNREFUSED) from -= 4; /* told of an earlier one */
    if (port % 64 == 0) usleep(1000);
  }
  close(fd);
  return sent;
}

static long tcp(void) {
  long taken = 0;
  for (int first = 1; first < 65536; first += parallel) {
    struct pollfd fds[parallel];
    int count = 0;
    for (int port = first; port < first + parallel && port < 65536; port++) {
      int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
      to.sin_port = htons(port);
      if (connect(fd, (void *)&to, sizeof to) < 0 && errno != EINPROGRESS) close(fd);
      else fds[count++] = (struct pollfd){.fd = fd, .events = POLLOUT};
    }
    for (int left = count; left > 0;) {
      if (poll(fds, count, patience_ms) <= 0) break;
      for (int i = 0; i < count; i++) {
        if (fds[i].fd < 0 || !fds[i].revents) continue;
        int error = 0;
        socklen_t size = sizeof error;
        getsockopt(fds[i].fd, SOL_SOCKET, SO_ERROR, &error, &size);
        if (error == 0 && send(fds[i].fd, framed, sizeof framed, MSG_NOSIGNAL) > 0) taken++;
        close(fds[i].fd);
        fds[i].fd = -1;
        left--;
      }
    }
    for (int i = 0; i < count; i++)
      if (fds[i].fd >= 0) close(fds[i].fd);
  }
  return taken;
}

static void make_frame(const char *text) {
  framed[3] = 64;
  memset(framed + 4, 0xff, 6);                        /* to all */
  memcpy(framed + 10, "\x52\x54\x00\x66\x66\x66", 6); /* from somebody */
  memcpy(framed + 16, "\x88\xb5", 2);                 /* a type for experiments */
  strcpy((char *)framed + 18, text);
}

static int watch(const char *interface, const char *file) {
  long own = 0, strange = 0;
  unsigned char got[2048];
  char new[256], address[64];
  struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
  int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
  at.sll_ifindex = if_nametoindex(interface);
  if (fd < 0 || bind(fd, (void *)&at, sizeof at) < 0) return perror("watch"), 1;
  make_frame("the group's own");
  snprintf(address, sizeof address, "/sys/class/net/%s/address", interface);
  FILE *mac = fopen(address, "r");
  for (int i = 0; i < 6; i++) {
    unsigned byte;
    if (fscanf(mac, i ? ":%2x" : "%2x", &byte) != 1) return 1;
    framed[10 + i] = byte;
  }
  snprintf(new, sizeof new, "%s.new", file);
  for (;;) {
    send(fd, framed + 4, 64, 0);
    for (struct pollfd ready = {.fd = fd, .events = POLLIN}; poll(&ready, 1, 1000) > 0;) {
      struct sockaddr_ll from;
      socklen_t size = sizeof from;
      ssize_t length = recvfrom(fd, got, sizeof got, 0, (void *)&from, &size);
      if (from.sll_pkttype == PACKET_OUTGOING) continue;
      if (length > 0 && memmem(got, length, "the group's own", 15)) own++;
      if (length > 0 && memmem(got, length, "a stranger's", 12)) strange++;
    }
    FILE *out = fopen(new, "w");
    fprintf(out, "own %ld strange %ld\n", own, strange);
    fclose(out);
    rename(new, file);
  }
}

int main(int argc, char **argv) {
  if (argc == 4 && strcmp(argv[1], "watch") == 0) return watch(argv[2], argv[3]);
  if (argc != 3 || inet_pton(AF_INET, argv[2], &to.sin_addr) != 1) return 2;
  make_frame("a stranger's");
  long datagrams = udp();
  printf("datagrams %ld, connections that took it %ld\n", datagrams, tcp());
  return 0;
}
