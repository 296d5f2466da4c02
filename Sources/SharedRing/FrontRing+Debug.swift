import SharedMemory

extension FrontRing {
  /// One line with the private indices and what shared memory holds at this moment. For logs and `status`: it reads
  /// shared memory, and nothing may be decided on it.
  public var debugDescription: String {
    """
    front ring of \(entryCount): req_prod \(publishedRequestProducer) published, \(requestProducer &- publishedRequestProducer) more put; \
    rsp_cons \(responseConsumer), \(outstandingCount) outstanding; \(sharedIndexDescription(memory))\(fault.map { "; broken: \($0)" } ?? "")
    """
  }
}

/// The four shared indices as they are now.
func sharedIndexDescription(_ memory: SharedBytes) -> String {
  """
  shared req_prod \(memory.load32(at: RingLayout.requestProducer)) req_event \(memory.load32(at: RingLayout.requestEvent)) \
  rsp_prod \(memory.load32(at: RingLayout.responseProducer)) rsp_event \(memory.load32(at: RingLayout.responseEvent))
  """
}
