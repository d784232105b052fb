// The limit of the topology: the least that any replicated log must do on this machine, with no protocol, no checks and
// no Raft. client -> leader -> two followers over loopback TCP; each of the three appends CHUNK bytes and calls
// fdatasync; an ack a chunk goes back when the leader and one follower have flushed (all three flush at the same time).
// Files go to the current folder.
// build: cc -O2 -o limit-pipe limit-pipe.c -lpthread     usage: limit-pipe TOTAL_MB CHUNK_KB WINDOW PORT PORT PORT
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <sys/resource.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <time.h>
#include <signal.h>
static long chunk, total, win;
static int ports[3];
static double now()
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static void die(const char *m)
{
  perror(m);
  exit(1);
}

static int rd(int s, char *b, long n)
{
  while (n) {
    long k = read(s, b, n);
    if (k <= 0)
      return 0;
    b += k;
    n -= k;
  }
  return 1;
}

static int wr(int s, char *b, long n)
{
  while (n) {
    long k = write(s, b, n);
    if (k <= 0)
      return 0;
    b += k;
    n -= k;
  }
  return 1;
}

static int lis(int port)
{
  int s = socket(AF_INET, SOCK_STREAM, 0), o = 1;
  setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &o, 4);
  struct sockaddr_in a = {.sin_family = AF_INET,.sin_port = htons(port),.sin_addr.s_addr =
        htonl(INADDR_LOOPBACK) };
  if (bind(s, (void *) &a, sizeof a) || listen(s, 4))
    die("listen");
  return s;
}

static int con(int port)
{
  for (int i = 0; i < 200; i++) {
    int s = socket(AF_INET, SOCK_STREAM, 0), o = 1;
    struct sockaddr_in a = {.sin_family = AF_INET,.sin_port = htons(port),.sin_addr.s_addr =
          htonl(INADDR_LOOPBACK) };
    if (!connect(s, (void *) &a, sizeof a)) {
      setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &o, 4);
      return s;
    }
    close(s);
    usleep(10000);
  }
  die("connect");
  return -1;
}

static int acc(int l)
{
  int s = accept(l, 0, 0), o = 1;
  setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &o, 4);
  return s;
}

static void follower(int port, const char *f)
{
  int l = lis(port), s = acc(l), fd = open(f, O_CREAT | O_TRUNC | O_WRONLY, 0600);
  char *b = malloc(chunk);
  while (rd(s, b, chunk)) {
    if (!wr(fd, b, chunk))
      die("w");
    fdatasync(fd);
    if (!wr(s, "k", 1))
      break;
  }
  unlink(f);
  exit(0);
}

// leader: main thread reads and forwards; a flusher thread writes+syncs; ack thread waits flush and one follower
static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cv = PTHREAD_COND_INITIALIZER;
static long got, flushed, f1, f2, acked;
static char **ring;
static int cs, s1, s2, lfd;
static void *flusher(void *x)
{
  for (;;) {
    pthread_mutex_lock(&mu);
    while (got == flushed)
      pthread_cond_wait(&cv, &mu);
    long i = flushed;
    pthread_mutex_unlock(&mu);
    if (!wr(lfd, ring[i % win], chunk))
      die("w");
    fdatasync(lfd);
    pthread_mutex_lock(&mu);
    flushed++;
    pthread_cond_broadcast(&cv);
    pthread_mutex_unlock(&mu);
  }
  return 0;
}

static void *fack(void *x)
{
  int s = *(int *) x;
  char c;
  while (read(s, &c, 1) == 1) {
    pthread_mutex_lock(&mu);
    (s == s1) ? f1++ : f2++;
    pthread_cond_broadcast(&cv);
    pthread_mutex_unlock(&mu);
  }
  return 0;
}

static void *acker(void *x)
{
  for (;;) {
    pthread_mutex_lock(&mu);
    long m;
    for (;;) {
      long hi = f1 > f2 ? f1 : f2;
      m = flushed < hi ? flushed : hi;
      if (m > acked)
        break;
      pthread_cond_wait(&cv, &mu);
    }
    long n = m - acked;
    acked = m;
    pthread_mutex_unlock(&mu);
    while (n--)
      if (write(cs, "k", 1) != 1)
        return 0;
  }
  return 0;
}

static void leader()
{
  int l = lis(ports[0]);
  s1 = con(ports[1]);
  s2 = con(ports[2]);
  cs = acc(l);
  lfd = open("pipe.leader", O_CREAT | O_TRUNC | O_WRONLY, 0600);
  ring = malloc(win * sizeof *ring);
  for (long i = 0; i < win; i++)
    ring[i] = malloc(chunk);
  pthread_t t;
  pthread_create(&t, 0, flusher, 0);
  pthread_create(&t, 0, fack, &s1);
  pthread_create(&t, 0, fack, &s2);
  pthread_create(&t, 0, acker, 0);
  for (;;) {
    pthread_mutex_lock(&mu);
    while (got - flushed >= win)
      pthread_cond_wait(&cv, &mu);
    long i = got;
    pthread_mutex_unlock(&mu);
    char *b = ring[i % win];
    if (!rd(cs, b, chunk))
      break;
    pthread_mutex_lock(&mu);
    got++;
    pthread_cond_broadcast(&cv);
    pthread_mutex_unlock(&mu);
    wr(s1, b, chunk);
    wr(s2, b, chunk);
  }
  unlink("pipe.leader");
  exit(0);
}

static long done;
static pthread_mutex_t cm = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cc = PTHREAD_COND_INITIALIZER;
static void *cack(void *x)
{
  int s = *(int *) x;
  char b[4096];
  long k;
  while ((k = read(s, b, sizeof b)) > 0) {
    pthread_mutex_lock(&cm);
    done += k;
    pthread_cond_broadcast(&cc);
    pthread_mutex_unlock(&cm);
  }
  return 0;
}

int main(int c, char **v)
{
  if (c != 7)
    return 2;
  total = atol(v[1]) << 20;
  chunk = atol(v[2]) << 10;
  win = atol(v[3]);
  for (int i = 0; i < 3; i++)
    ports[i] = atoi(v[4 + i]);
  pid_t p[3];
  if (!(p[0] = fork()))
    follower(ports[1], "pipe.f1");
  if (!(p[1] = fork()))
    follower(ports[2], "pipe.f2");
  if (!(p[2] = fork()))
    leader();
  int s = con(ports[0]);
  char *b = malloc(chunk);
  memset(b, 7, chunk);
  pthread_t t;
  pthread_create(&t, 0, cack, &s);
  long n = total / chunk;
  double t0 = now();
  for (long i = 0; i < n; i++) {
    pthread_mutex_lock(&cm);
    while (i - done >= win)
      pthread_cond_wait(&cc, &cm);
    pthread_mutex_unlock(&cm);
    if (!wr(s, b, chunk))
      die("send");
  }
  pthread_mutex_lock(&cm);
  while (done < n)
    pthread_cond_wait(&cc, &cm);
  pthread_mutex_unlock(&cm);
  double d = now() - t0;
  shutdown(s, 2);
  close(s);
  waitpid(p[2], 0, 0);
  kill(p[0], 9);
  kill(p[1], 9);
  while (wait(0) > 0);
  struct rusage r;
  getrusage(RUSAGE_CHILDREN, &r);
  struct rusage q;
  getrusage(RUSAGE_SELF, &q);
  double cpu = r.ru_utime.tv_sec + r.ru_stime.tv_sec + q.ru_utime.tv_sec + q.ru_stime.tv_sec;
  printf("limit pipe chunk=%ldK win=%ld: %.1f MB/s, cpu %.1f s/GB\n", chunk >> 10, win, total / d / 1e6,
         cpu / (total / 1e9));
  unlink("pipe.f1");
  unlink("pipe.f2");
  unlink("pipe.leader");
  return 0;
}
