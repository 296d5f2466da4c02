extension BackRing {
  /// One line with the private indices and what shared memory holds at this moment. For logs and `status`: it reads
  /// shared memory, and nothing may be decided on it.
  public var debugDescription: String {
    """
    back ring of \(entryCount): req_cons \(requestConsumer), \(unansweredCount) unanswered; rsp_prod \(publishedResponseProducer) published, \
    \(responseProducer &- publishedResponseProducer) more put; \(sharedIndexDescription(memory))\(fault.map { "; broken: \($0)" } ?? "")
    """
  }
}
