/* SPDX-License-Identifier: Apache-2.0 */
#include "scp/requests.h"

#include <stdlib.h>

void spni_requests_append(spni_requests *list, spni_request *request)
{
    request->list = list;
    request->next = NULL;
    request->previous = list->last;
    if (list->last)
        list->last->next = request;
    else
        list->first = request;
    list->last = request;
    list->count++;
}

void spni_request_detach(spni_request *request)
{
    spni_requests *list = request->list;
    if (request->previous)
        request->previous->next = request->next;
    else
        list->first = request->next;
    if (request->next)
        request->next->previous = request->previous;
    else
        list->last = request->previous;
    list->count--;
    request->list = NULL;
}

void spni_request_move(spni_request *request, spni_requests *list)
{
    spni_request_detach(request);
    spni_requests_append(list, request);
}

void spni_requests_free(spni_requests *list)
{
    for (spni_request *request = list->first, *next; request; request = next) {
        next = request->next;
        free(request);
    }
}
