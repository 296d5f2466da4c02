/*
 * The notification protocol of a shared ring (xen/include/public/io/ring.h), as FrontRing and BackRing follow it:
 * is a wake-up ever lost, or an entry seen before it was written?
 *
 * Both directions, both ends free to batch, to poll or to sleep, spurious events, indices that wrap (modulo 8, starting
 * just before the wrap). Memory is weaker than x86 and as weak as arm64 as far as stores go: each end has a store buffer
 * that reaches memory at any time and, for different words, in any order. Only a release (all earlier stores first)
 * and a fence (all stores done before the next load) bring order. Each index has one writer, who keeps it privately
 * and never reads it back, so buffers need no forwarding.
 *
 * check-model.sh proves two things: no deadlock and no wrong entry in any interleaving, and (with fairness) that
 * all responses arrive. It then takes out one ingredient after the other, and each time a counterexample must be found:
 *   -DBROKEN_PUBLISH_FENCE   no fence between publishing a producer and reading the peer's event index
 *   -DBROKEN_ARM_FENCE       no fence between arming and looking again
 *   -DBROKEN_RECHECK         arming without looking again
 *   -DBROKEN_RELEASE         publishing without a release
 */

#define ENTRIES 2        /* a power of two */
#define REQUESTS 4       /* enough to go twice around the ring and across the index wrap */
#define MODULUS 8        /* indices count modulo this, as they do modulo 2^32 */
#define START 6

#define minus(a, b) (((a) + MODULUS - (b)) % MODULUS)
#define plus(a, b)  (((a) + (b)) % MODULUS)

/* Words of shared memory. */
#define REQ_PROD  0
#define REQ_EVENT 1
#define RSP_PROD  2
#define RSP_EVENT 3
#define SLOT      4      /* and the ENTRIES - 1 after it */
byte word[SLOT + ENTRIES];

/* Store buffers: (word, value). */
#define FRONT 0
#define BACK  1
chan stores[2] = [6] of { byte, byte };

/* Event channels: an eventfd each, whose count only tells zero from not zero. */
bool event[2];

bool done;

#define store(me, which, value) stores[me]!which, value
#define drained(me) empty(stores[me])

inline release(me) {
#ifndef BROKEN_RELEASE
  drained(me)
#else
  skip
#endif
}

/* A store buffer reaches memory: any word, oldest store to that word first. */
proctype Drain(byte me) {
  byte value;
end:
  do
  :: atomic { stores[me]??REQ_PROD, value  -> word[REQ_PROD] = value }
  :: atomic { stores[me]??REQ_EVENT, value -> word[REQ_EVENT] = value }
  :: atomic { stores[me]??RSP_PROD, value  -> word[RSP_PROD] = value }
  :: atomic { stores[me]??RSP_EVENT, value -> word[RSP_EVENT] = value }
  :: atomic { stores[me]??4, value -> word[4] = value }
  :: atomic { stores[me]??5, value -> word[5] = value }
  od
}

/* publishRequests and publishResponses: `old` is private. */
inline publish(me, peer, producer, peerEvent, old, new) {
  if
  :: new != old ->
     release(me);
     store(me, producer, new);
#ifndef BROKEN_PUBLISH_FENCE
     drained(me);
#endif
     wanted = word[peerEvent];
     if
     :: minus(new, wanted) < minus(new, old) -> event[peer] = true
     :: else -> skip
     fi;
     old = new
  :: else -> skip
  fi
}

/* armResponseEvent and armRequestEvent, and sleeping when nothing was found. */
inline armAndSleep(me, producer, myEvent, consumer, known) {
  store(me, myEvent, plus(consumer, 1));
#ifndef BROKEN_ARM_FENCE
  drained(me);
#endif
#ifndef BROKEN_RECHECK
  known = word[producer];
#endif
  if
  :: known == consumer -> atomic { event[me] -> event[me] = false }
  :: else -> skip
  fi
}

proctype Front() {
  byte produced = START, published = START, consumed = START, known = START;
  byte sent = 0, received = 0, wanted;
  bool progress;

  do
  :: received == REQUESTS -> break
  :: else ->
     /* Put at least one request when there is room, and as many more as it likes. */
     do
     :: sent < REQUESTS && minus(produced, consumed) < ENTRIES ->
        store(FRONT, SLOT + produced % ENTRIES, sent + 1);
        sent++;
        produced = plus(produced, 1)
     :: produced != published || sent == REQUESTS || minus(produced, consumed) == ENTRIES -> break
     od;
     publish(FRONT, BACK, REQ_PROD, REQ_EVENT, published, produced);

     progress = false;
     known = word[RSP_PROD];
     do
     :: known != consumed ->
        received++;
        assert(word[SLOT + consumed % ENTRIES] == 100 + received);
        consumed = plus(consumed, 1);
        progress = true
     :: else -> break
     od;

     if
     :: progress -> skip
     :: !progress && sent < REQUESTS && minus(produced, consumed) < ENTRIES -> skip
     :: else ->
        if
        :: skip                                  /* poll once more */
        :: armAndSleep(FRONT, RSP_PROD, RSP_EVENT, consumed, known)
        fi
     fi
  od;
  done = true
}

proctype Back() {
  byte consumed = START, known = START, produced = START, published = START;
  byte taken = 0, wanted;
  bool progress;

  do
  :: progress = false;
     known = word[REQ_PROD];
     do
     :: known != consumed ->
        taken++;
        assert(word[SLOT + consumed % ENTRIES] == taken);
        consumed = plus(consumed, 1);
        store(BACK, SLOT + produced % ENTRIES, 100 + taken);
        produced = plus(produced, 1);
        progress = true
     :: known == consumed || progress -> break   /* as many as it likes */
     od;
     publish(BACK, FRONT, RSP_PROD, RSP_EVENT, published, produced);

     if
     :: progress -> skip
     :: else ->
        if
        :: skip                                  /* poll once more */
        :: store(BACK, REQ_EVENT, plus(consumed, 1));
#ifndef BROKEN_ARM_FENCE
           drained(BACK);
#endif
#ifndef BROKEN_RECHECK
           known = word[REQ_PROD];
#endif
           if
           :: known == consumed ->
endAsleep:    atomic { event[BACK] -> event[BACK] = false }   /* a back-end may sleep for ever when nothing is asked of it */
           :: else -> skip
           fi
        fi
     fi
  od
}

init {
  atomic {
    word[REQ_PROD] = START;
    word[RSP_PROD] = START;
    word[REQ_EVENT] = plus(START, 1);
    word[RSP_EVENT] = plus(START, 1);
    /* The first event after binding may be spurious. */
    if :: event[FRONT] = true :: skip fi;
    if :: event[BACK] = true :: skip fi;
    run Drain(FRONT);
    run Drain(BACK);
    run Front();
    run Back()
  }
}

ltl everyResponseArrives { <> done }
