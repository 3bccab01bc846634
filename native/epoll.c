// epoll, timerfd and eventfd. A registration's 64 bits of data are (index, generation); poll unpacks the kernel's
// structures into triples, so that TypeScript needs not know that they are packed on x64 only.
#include "native.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

REGISTER_CALL(epoll_open) {
  regs[REG_RESULT] = outcome(epoll_create1(EPOLL_CLOEXEC));
  return NULL;
}

// (epoll, operation, fd, events, index, generation in the first word of the further results)
REGISTER_CALL(epoll_control) {
  struct epoll_event event;
  event.events = (uint32_t)regs[REG_D];
  event.data.u64 = (uint64_t)(uint32_t)regs[REG_E] | (uint64_t)(uint32_t)regs[REG_EXTRA] << 32;
  regs[REG_RESULT] = outcome(epoll_ctl(regs[REG_A], regs[REG_B], regs[REG_C], &event));
  return NULL;
}

// (epoll, most events, timeout in ms): a wait that a signal ended is "no events".
REGISTER_CALL(hot_poll) {
  struct epoll_event events[EVENTS_MAX];
  int32_t most = regs[REG_B];
  if (most < 1 || most > EVENTS_MAX) {
    regs[REG_RESULT] = -EINVAL;
    return NULL;
  }
  int count = epoll_wait(regs[REG_A], events, most, regs[REG_C]);
  regs[REG_RESULT] = count < 0 && errno == EINTR ? 0 : outcome(count);
  clock_both();
  int32_t *out = event_words;
  for (int i = 0; i < count; i++) {
    *out++ = (int32_t)events[i].events;
    *out++ = (int32_t)(uint32_t)events[i].data.u64;
    *out++ = (int32_t)(uint32_t)(events[i].data.u64 >> 32);
  }
  return NULL;
}

REGISTER_CALL(timer_open) {
  regs[REG_RESULT] = outcome(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
  return NULL;
}

// (timer, period in ms; 0 stops it)
REGISTER_CALL(timer_set) {
  int32_t period = regs[REG_B];
  if (period < 0) {
    regs[REG_RESULT] = -EINVAL;
    return NULL;
  }
  struct timespec step = {.tv_sec = period / 1000, .tv_nsec = (long)(period % 1000) * 1000000};
  struct itimerspec setting = {.it_interval = step, .it_value = step};
  regs[REG_RESULT] = outcome(timerfd_settime(regs[REG_A], 0, &setting, NULL));
  return NULL;
}

REGISTER_CALL(eventfd_open) {
  regs[REG_RESULT] = outcome(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  return NULL;
}

// Reads the 8-byte counter of a timerfd or eventfd; what is above 2^31 - 1 is given as that.
REGISTER_CALL(counter_read) {
  uint64_t count = 0;
  ssize_t result = read(regs[REG_A], &count, sizeof count);
  regs[REG_RESULT] = result < 0 ? -errno : count > INT32_MAX ? INT32_MAX : (int32_t)count;
  return NULL;
}

REGISTER_CALL(eventfd_signal) {
  uint64_t one = 1;
  ssize_t result = write(regs[REG_A], &one, sizeof one);
  regs[REG_RESULT] = result < 0 && errno != EAGAIN ? -errno : 0;
  return NULL;
}

const native_function epoll_functions[] = {
    {"epollCreate", epoll_open},
    {"epollControl", epoll_control},
    {"poll", hot_poll},
    {"timerCreate", timer_open},
    {"timerSet", timer_set},
    {"eventfdCreate", eventfd_open},
    {"counterRead", counter_read},
    {"eventfdSignal", eventfd_signal},
    END_OF_FUNCTIONS,
};
