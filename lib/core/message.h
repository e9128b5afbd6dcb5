/*
 * Messages: where empty ones come from. They are chained by link.tqe_next, in the thread first, then, a chain at a time, in a pool that
 * all threads share: threads that free send messages away, threads that allocate are left with them.
 */
#ifndef LIB_CORE_MESSAGE_H
#define LIB_CORE_MESSAGE_H

#include "core/model.h"

bool message_start(void);

/* An empty message, or NULL where the system has no more memory. */
struct message *message_get(struct thread *thread);

void message_put(struct thread *thread, struct message *message);

/* Puts a whole list. */
void message_put_list(struct thread *thread, struct message_list *list);

/* Before the thread ends. */
void message_put_all(struct thread *thread);

/* Gives the pages of messages that nobody uses back to the system. */
void message_purge(void);

#endif
